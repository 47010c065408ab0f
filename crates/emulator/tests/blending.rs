// SPDX-License-Identifier: Apache-2.0
//! Soft blending on the emulator against the CPU path, within the rounding of their exponentials; the same bits in every
//! order of threads and blocks.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::Device;
use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_renderer::blending::{self, BlendingParams, GradInputs, Gradients, Inputs, Settings};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

struct Scene<T> {
    pixels: [usize; 3],
    k: usize,
    c: usize,
    colors: Vec<T>,
    dists: Vec<T>,
    zbuf: Vec<T>,
    faces: Vec<i64>,
    background: Vec<T>,
    znear: Vec<T>,
    zfar: Vec<T>,
    grad: Vec<T>,
    settings: Settings,
}

fn scene<T: Scalar>(
    seed: u64,
    pixels: [usize; 3],
    (k, c): (usize, usize),
    one: bool,
    (gamma, least): (f64, f64),
) -> Scene<T> {
    let mut random = Random(seed);
    let [n, h, w] = pixels;
    let slots = n * h * w * k;
    let faces: Vec<i64> = (0..slots).map(|_| ((random.next() >> 11) % 3) as i64 - 1).collect();
    // What empty slots hold must not matter.
    let mut dists: Vec<T> = random.numbers(slots, -0.3, 0.3);
    let mut colors: Vec<T> = random.numbers(slots * c, 0.0, 1.0);
    for (slot, _) in faces.iter().enumerate().filter(|&(_, &face)| face < 0) {
        dists[slot] = T::of(f64::NAN);
        colors[slot * c..(slot + 1) * c].fill(T::of(f64::NAN));
    }
    let (rows, images) = if one { (1, 1) } else { (n * h * w, n) };
    Scene {
        pixels,
        k,
        c,
        colors,
        dists,
        zbuf: random.numbers(slots, 1.0, 6.0),
        faces,
        background: random.numbers(rows * c, 0.0, 1.0),
        znear: random.numbers(images, 0.5, 0.9),
        zfar: random.numbers(images, 4.0, 5.0),
        grad: random.numbers(n * h * w * (c + 1), -1.0, 1.0),
        settings: Settings { sigma: 0.1, gamma, least },
    }
}

/// The image and all gradients, on memory that holds NaN.
fn everything<T: Scalar>(scene: &Scene<T>, device: Device) -> Vec<T> {
    let Scene { pixels: [n, h, w], k, c, .. } = *scene;
    let (slots, colors, image, rows) = ([n, h, w, k], [n, h, w, k, c], [n, h, w, c + 1], [n * h * w, c]);
    let background = [scene.background.len().checked_div(c).unwrap_or(1), c];
    let x = Inputs {
        colors: tensor(&scene.colors, &colors, device),
        dists: tensor(&scene.dists, &slots, device),
        zbuf: tensor(&scene.zbuf, &slots, device),
        pix_to_face: tensor(&scene.faces, &slots, device),
        background: tensor(&scene.background, &background, device),
        znear: tensor(&scene.znear, &[scene.znear.len()], device),
        zfar: tensor(&scene.zfar, &[scene.zfar.len()], device),
        settings: scene.settings,
    };
    let dirty = |count: usize| vec![T::of(f64::NAN); count];
    let mut out = dirty(image.iter().product());
    blending::forward(&x, &mut tensor_mut(&mut out, &image, device)).unwrap();
    let (mut of_colors, mut of_dists) = (dirty(scene.colors.len()), dirty(scene.dists.len()));
    let (mut of_zbuf, mut of_background) = (dirty(scene.zbuf.len()), dirty(rows.iter().product()));
    let x =
        GradInputs { inputs: x, image: tensor(&out, &image, device), grad_image: tensor(&scene.grad, &image, device) };
    let mut grads = Gradients {
        colors: Some(tensor_mut(&mut of_colors, &colors, device)),
        dists: Some(tensor_mut(&mut of_dists, &slots, device)),
        zbuf: Some(tensor_mut(&mut of_zbuf, &slots, device)),
        background: Some(tensor_mut(&mut of_background, &rows, device)),
    };
    blending::backward(&x, &mut grads).unwrap();
    [out, of_colors, of_dists, of_zbuf, of_background].concat()
}

fn agrees<T: Scalar>(scene: &Scene<T>) {
    let expected = everything(scene, Device::SERIAL);
    let mut first: Option<Vec<u64>> = None;
    for order in ORDERS {
        let got = everything(scene, emulated(order));
        for (i, (got, expected)) in got.iter().zip(&expected).map(|(a, b)| (a.to_f64(), b.to_f64())).enumerate() {
            let error = (got - expected).abs();
            let bound = 1e3 * T::ULP.to_f64() * (1.0 + expected.abs());
            assert!(error <= bound, "{got}, not {expected} at {i}, {:?}, {order:?}", scene.pixels);
        }
        let bits: Vec<u64> = got.iter().map(|value| value.to_f64().to_bits()).collect();
        assert_eq!(&bits, first.get_or_insert_with(|| bits.clone()), "{order:?}");
    }
}

#[test]
fn agrees_with_the_cpu() {
    let shapes =
        [([1, 1, 1], (1, 1)), ([2, 3, 5], (4, 3)), ([2, 13, 11], (7, 5)), ([1, 4, 40], (3, 9)), ([1, 5, 4], (3, 0))];
    for (seed, (pixels, slots)) in (1..).zip(shapes) {
        for one in [true, false] {
            for how in [(0.5, 1e-10), (1e-2, 1e-10), (0.05, 0.1)] {
                agrees::<f32>(&scene(seed, pixels, slots, one, how));
                agrees::<f64>(&scene(seed, pixels, slots, one, how));
            }
        }
    }
}

#[test]
fn no_pixels_and_no_slots() {
    for (pixels, slots) in [([1, 0, 4], (3, 3)), ([0, 2, 2], (3, 3)), ([1, 2, 2], (0, 3))] {
        agrees::<f32>(&scene(3, pixels, slots, true, (0.1, 1e-10)));
    }
}

#[test]
fn the_params_have_one_layout() {
    let rust: Vec<_> = BlendingParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(patina3d_emulator::layout(BlendingParams::NAME).unwrap(), rust);
}
