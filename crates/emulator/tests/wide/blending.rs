// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 pixels.

use patina3d_core::Device;
use patina3d_renderer::blending::{self as operator, GradInputs, Gradients, Inputs, Settings};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end};

const SIDE: usize = 16;
const K: usize = 4;
const C: usize = 5;
const PIXELS: usize = SIDE * SIDE;
const SLOTS: usize = PIXELS * K;

struct Arrays<'a> {
    images: usize,
    colors: &'a [f32],
    dists: &'a [f32],
    zbuf: &'a [f32],
    faces: &'a [i64],
    background: &'a [f32],
    planes: [&'a [f32]; 2],
    grad: &'a [f32],
}

/// The image, and the gradients of colors, dists, zbuf and background.
struct Results<'a> {
    image: &'a mut [f32],
    gradients: [&'a mut [f32]; 4],
}

fn run(device: Device, x: &Arrays<'_>, out: Results<'_>) {
    let n = x.images;
    let (slots, colors) = ([n, SIDE, SIDE, K], [n, SIDE, SIDE, K, C]);
    let (image, rows) = ([n, SIDE, SIDE, C + 1], [n * PIXELS, C]);
    let inputs = Inputs {
        colors: tensor(x.colors, &colors, device),
        dists: tensor(x.dists, &slots, device),
        zbuf: tensor(x.zbuf, &slots, device),
        pix_to_face: tensor(x.faces, &slots, device),
        background: tensor(x.background, &rows, device),
        znear: tensor(x.planes[0], &[n], device),
        zfar: tensor(x.planes[1], &[n], device),
        settings: Settings { sigma: 0.1, gamma: 0.1, least: 1e-10 },
    };
    operator::forward(&inputs, &mut tensor_mut(out.image, &image, device)).unwrap();
    let grad =
        GradInputs { inputs, image: tensor(out.image, &image, device), grad_image: tensor(x.grad, &image, device) };
    let [of_colors, of_dists, of_zbuf, of_background] = out.gradients;
    let mut gradients = Gradients {
        colors: Some(tensor_mut(of_colors, &colors, device)),
        dists: Some(tensor_mut(of_dists, &slots, device)),
        zbuf: Some(tensor_mut(of_zbuf, &slots, device)),
        background: Some(tensor_mut(of_background, &rows, device)),
    };
    operator::backward(&grad, &mut gradients).unwrap();
}

#[test]
fn blending() {
    const SIZES: [usize; 5] = [PIXELS * (C + 1), SLOTS * C, SLOTS, SLOTS, PIXELS * C];
    let mut random = Random(5);
    let faces: Vec<i64> = (0..SLOTS).map(|_| ((random.next() >> 11) % 3) as i64 - 1).collect();
    let mut numbers = |count: usize, low, high| -> Vec<f32> { random.numbers(count, low, high) };
    let (colors, dists, zbuf) = (numbers(SLOTS * C, 0.0, 1.0), numbers(SLOTS, -0.3, 0.3), numbers(SLOTS, 1.0, 6.0));
    let (background, grad) = (numbers(PIXELS * C, 0.0, 1.0), numbers(PIXELS * (C + 1), -1.0, 1.0));
    let planes = [[0.5], [9.0]];
    let mut expected = SIZES.map(|size| vec![0.0; size]);
    let [image, gradients @ ..] = expected.each_mut().map(|values| &mut values[..]);
    let x = Arrays {
        images: 1,
        colors: &colors,
        dists: &dists,
        zbuf: &zbuf,
        faces: &faces,
        background: &background,
        planes: planes.each_ref().map(|plane| &plane[..]),
        grad: &grad,
    };
    run(alone(), &x, Results { image, gradients });

    let images = WIDE / PIXELS + 1;
    let wide = [&colors, &dists, &zbuf, &background, &grad].map(|values| batch(images, values));
    let [colors, dists, zbuf, background, grad] = wide.each_ref().map(Sparse::all);
    let (faces, planes) = (batch(images, &faces), planes.map(|plane| batch(images, &plane)));
    let planes = planes.each_ref().map(Sparse::all);
    let mut got = SIZES.map(|size| Sparse::new(images * size));
    let [image, gradients @ ..] = got.each_mut().map(Sparse::all_mut);
    let x = Arrays { images, colors, dists, zbuf, faces: faces.all(), background, planes, grad };
    run(end(), &x, Results { image, gradients });
    for (got, expected) in got.iter_mut().zip(&expected) {
        assert_eq!(got.end(expected.len()), expected);
    }
}
