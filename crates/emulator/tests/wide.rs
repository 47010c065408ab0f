// SPDX-License-Identifier: Apache-2.0
//! Tensors of more elements than 32 bits can number: the end of a batch gets what it gets alone. The memory is sparse, and
//! only the last blocks of a grid run.
#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

mod support;

use patina3d_core::{Device, Tensor};
use patina3d_emulator::Order;
use patina3d_ops::knn::{self, Norm};
use support::{Random, Sparse, emulated, emulated_end, tensor, tensor_mut};

/// One more than 32 bits can number.
const WIDE: usize = 1 << 32;

#[test]
fn knn() {
    const POINTS: usize = 1 << 10;
    const D: usize = 4;
    const K: usize = 4;
    let run = |device: Device, n: usize, p1: &[f32], p2: &[f32], dists: &mut [f32], idx: &mut [i64]| {
        let cloud = |values| -> Tensor<'_> { tensor(values, &[n, POINTS, D], device) };
        let inputs =
            knn::Inputs { p1: cloud(p1), p2: cloud(p2), lengths1: None, lengths2: None, norm: Norm::SquaredL2, k: K };
        let slots = [n, POINTS, K];
        let mut outputs =
            knn::Outputs { dists: tensor_mut(dists, &slots, device), idx: tensor_mut(idx, &slots, device) };
        knn::forward(&inputs, &mut outputs).unwrap();
    };
    let mut random = Random(1);
    let (p1, p2): (Vec<f32>, Vec<f32>) = (random.numbers(POINTS * D, 0.0, 1.0), random.numbers(POINTS * D, 0.0, 1.0));
    let (mut dists, mut idx) = (vec![0.0; POINTS * K], vec![0; POINTS * K]);
    run(emulated(Order::Forward), 1, &p1, &p2, &mut dists, &mut idx);

    // More than 2^32 coordinates, distances and indices.
    let n = WIDE / (POINTS * K) + 1;
    let (mut wide_p1, mut wide_p2) = (Sparse::new(n * POINTS * D), Sparse::new(n * POINTS * D));
    let (mut wide_dists, mut wide_idx) = (Sparse::new(n * POINTS * K), Sparse::new(n * POINTS * K));
    wide_p1.end(p1.len()).copy_from_slice(&p1);
    wide_p2.end(p2.len()).copy_from_slice(&p2);
    run(emulated_end(Order::Forward, 8), n, wide_p1.all(), wide_p2.all(), wide_dists.all_mut(), wide_idx.all_mut());
    assert_eq!(wide_dists.end(dists.len()), dists);
    assert_eq!(wide_idx.end(idx.len()), idx);
}
