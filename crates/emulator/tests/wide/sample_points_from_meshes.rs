// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 samples.

use patina3d_core::Device;
use patina3d_ops::sample_points_from_meshes::draw::{Uniform, corner_weights, random_words};
use patina3d_ops::sample_points_from_meshes::{self as operator, GradInputs, Gradients, Inputs, Outputs};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end, scratch};

const V: usize = 40;
const F: usize = 50;
/// Samples that are looked at.
const SAMPLES: usize = 2048;
const SEED: i64 = 0x1234_5678_9abc;

#[test]
fn draws() {
    const MESHES: usize = 2;
    const FIRST: usize = 20;
    let s = WIDE / MESHES + SAMPLES;
    let mut random = Random(8);
    let verts = random.numbers::<f32>(3 * V, -1.0, 1.0);
    let corners: Vec<i64> = (0..3 * F).map(|_| ((random.next() >> 11) % V as u64) as i64).collect();
    let device = end();
    let x = Inputs {
        verts: tensor(&verts, &[V, 3], device),
        faces: tensor(&corners, &[F, 3], device),
        first_idxs: tensor(&[0, FIRST as i64], &[MESHES], device),
        seed: tensor(&[SEED], &[1], device),
        num_samples: s,
    };
    let samples = MESHES * s;
    let (mut points, mut weights) = (Sparse::<f32>::new(3 * samples), Sparse::<f32>::new(3 * samples));
    let mut faces = Sparse::<i64>::new(samples);
    let mut memory = scratch(operator::scratch_bytes(&x).unwrap());
    let memory = memory.all_mut();
    let sizes = [memory.len()];
    let mut out = Outputs {
        points: tensor_mut(points.all_mut(), &[MESHES, s, 3], device),
        faces: tensor_mut(faces.all_mut(), &[MESHES, s], device),
        weights: tensor_mut(weights.all_mut(), &[MESHES, s, 3], device),
        scratch: tensor_mut(memory, &sizes, device),
    };
    operator::forward(&x, &mut out).unwrap();

    let (points, weights) = (points.end(3 * SAMPLES), weights.end(3 * SAMPLES));
    for (i, &face) in faces.end(SAMPLES).iter().enumerate() {
        let [_, _, u, v] = random_words(SEED, MESHES as u64 - 1, (s - SAMPLES + i) as u64, 0);
        let expected = corner_weights(f32::uniform(u, 0), f32::uniform(v, 0));
        let (weights, point) = (&weights[3 * i..3 * i + 3], &points[3 * i..3 * i + 3]);
        assert_eq!(weights, &expected[..]);
        let face = usize::try_from(face).unwrap();
        assert!((FIRST..F).contains(&face), "{face}");
        let corners = &corners[3 * face..3 * face + 3];
        let mixed: Vec<f32> = (0..3)
            .map(|axis| {
                let [a, b, c] = [0, 1, 2].map(|i| weights[i] * verts[3 * corners[i] as usize + axis]);
                a + b + c
            })
            .collect();
        assert_eq!(point, mixed);
    }
}

/// The gradient of the vertices.
fn backward(device: Device, s: usize, corners: &[i64], faces: &[i64], weights: &[f32], grad: &[f32]) -> Vec<f32> {
    let x = GradInputs {
        faces: tensor(corners, &[F, 3], device),
        sampled_faces: tensor(faces, &[1, s], device),
        weights: tensor(weights, &[1, s, 3], device),
        grad_points: tensor(grad, &[1, s, 3], device),
    };
    let mut of_verts = vec![0.0; 3 * V];
    let mut memory = scratch(operator::backward_scratch_bytes(&x, V).unwrap());
    let memory = memory.all_mut();
    let sizes = [memory.len()];
    let mut out =
        Gradients { verts: tensor_mut(&mut of_verts, &[V, 3], device), scratch: tensor_mut(memory, &sizes, device) };
    operator::backward(&x, &mut out).unwrap();
    of_verts
}

#[test]
fn adds_up_gradients() {
    // As many as 16 blocks have threads: the rest of the wide batch has no part in the sums.
    const COUNT: usize = 4096;
    let mut random = Random(9);
    let mut indices = |count: usize, end: usize| -> Vec<i64> {
        (0..count).map(|_| ((random.next() >> 11) % end as u64) as i64).collect()
    };
    let (corners, faces) = (indices(3 * F, V), indices(COUNT, F));
    let (weights, grad) = (random.numbers(3 * COUNT, 0.0, 1.0), random.numbers(3 * COUNT, -1.0, 1.0));
    let expected = backward(alone(), COUNT, &corners, &faces, &weights, &grad);
    assert!(expected.iter().any(|&of| of != 0.0));

    let pieces = WIDE / COUNT + 1;
    let (faces, weights, grad) = (batch(pieces, &faces), batch(pieces, &weights), batch(pieces, &grad));
    let got = backward(end(), pieces * COUNT, &corners, faces.all(), weights.all(), grad.all());
    assert_eq!(got, expected);
}
