// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 slots, and more than 2^32 values at the corners of faces.

use patina3d_core::Device;
use patina3d_ops::interp_face_attrs::{self as operator, GradInputs, Gradients, Inputs};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end};

const PIXELS: usize = 512;
const K: usize = 2;
const D: usize = 3;
const F: usize = 40;

struct Arrays<'a> {
    images: usize,
    faces: &'a [i64],
    weights: &'a [f32],
    values: &'a [f32],
    grad: &'a [f32],
}

/// The result and the gradient of the weights.
fn run(device: Device, x: &Arrays<'_>, out: &mut [f32], of_weights: &mut [f32]) {
    let (slots, corners) = ([x.images, PIXELS, 1, K], [x.images, PIXELS, 1, K, 3]);
    let result = [x.images, PIXELS, 1, K, D];
    let inputs = Inputs {
        pix_to_face: tensor(x.faces, &slots, device),
        barycentric_coords: tensor(x.weights, &corners, device),
        face_attributes: tensor(x.values, &[x.values.len() / (3 * D), 3, D], device),
    };
    operator::forward(&inputs, &mut tensor_mut(out, &result, device)).unwrap();
    let grad = GradInputs { inputs, grad: tensor(x.grad, &result, device) };
    let mut gradients = Gradients {
        barycentric_coords: Some(tensor_mut(of_weights, &corners, device)),
        face_attributes: None,
        scratch: tensor_mut::<u8>(&mut [], &[0], device),
    };
    operator::backward(&grad, &mut gradients).unwrap();
}

#[test]
fn interp_face_attrs() {
    const SLOTS: usize = PIXELS * K;
    let mut random = Random(2);
    let mut faces: Vec<i64> = (0..SLOTS).map(|_| ((random.next() >> 11) % F as u64) as i64).collect();
    let weights = random.numbers(3 * SLOTS, 0.0, 1.0);
    let (values, grad) = (random.numbers(3 * D * F, -1.0, 1.0), random.numbers(SLOTS * D, -1.0, 1.0));
    let (mut out, mut of_weights) = (vec![0.0; SLOTS * D], vec![0.0; 3 * SLOTS]);
    let x = Arrays { images: 1, faces: &faces, weights: &weights, values: &values, grad: &grad };
    run(alone(), &x, &mut out, &mut of_weights);

    let (images, meshes) = (WIDE / SLOTS + 1, WIDE / (3 * D * F) + 2);
    for face in &mut faces {
        *face += ((meshes - 1) * F) as i64;
    }
    let (faces, weights, grad) = (batch(images, &faces), batch(images, &weights), batch(images, &grad));
    let values = batch(meshes, &values);
    let (mut wide_out, mut wide_of_weights) = (Sparse::new(images * out.len()), Sparse::new(images * of_weights.len()));
    let x = Arrays { images, faces: faces.all(), weights: weights.all(), values: values.all(), grad: grad.all() };
    run(end(), &x, wide_out.all_mut(), wide_of_weights.all_mut());
    assert_eq!(wide_out.end(out.len()), out);
    assert_eq!(wide_of_weights.end(of_weights.len()), of_weights);
}
