// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 queries; and trees of more than 2^32 points.

use patina3d_core::inverse::Inverse;
use patina3d_core::segments::Segments;
use patina3d_core::tree::DeviceTree;
use patina3d_core::{Device, DevicePtr, Tensor};
use patina3d_emulator::{Order, launch_some};
use patina3d_ops::knn::{self, GradInputs, Gradients, Inputs, KnnParams, Norm, Outputs};
use patina3d_ops::point_index::{self, Trees};

use crate::support::{Random, Sparse, emulated_end, pointer, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end};

const POINTS: usize = 1 << 10;
const D: usize = 4;
const K: usize = 4;

fn clouds<'a>(device: Device, n: usize, p1: &'a [f32], p2: &'a [f32]) -> Inputs<'a> {
    let cloud = |values| -> Tensor<'a> { tensor(values, &[n, POINTS, D], device) };
    Inputs { p1: cloud(p1), p2: cloud(p2), lengths1: None, lengths2: None, trees: None, norm: Norm::SquaredL2, k: K }
}

fn forward(device: Device, x: &Inputs<'_>, dists: &mut [f32], idx: &mut [i64]) {
    let slots = [x.p1.shape()[0], x.p1.shape()[1], x.k];
    assert_eq!(knn::forward_scratch_bytes(x).unwrap(), 0);
    let mut outputs = Outputs {
        dists: tensor_mut(dists, &slots, device),
        idx: tensor_mut(idx, &slots, device),
        scratch: tensor_mut::<u8>(&mut [], &[0], device),
    };
    knn::forward(x, &mut outputs).unwrap();
}

/// The gradient of `p1`.
fn backward(device: Device, x: &Inputs<'_>, idx: &[i64], grad: &[f32], of_p1: &mut [f32]) {
    let n = x.p1.shape()[0];
    let slots = [n, POINTS, K];
    let grad = GradInputs { inputs: *x, idx: tensor(idx, &slots, device), grad_dists: tensor(grad, &slots, device) };
    let mut gradients = Gradients {
        p1: Some(tensor_mut(of_p1, &[n, POINTS, D], device)),
        p2: None,
        scratch: tensor_mut::<u8>(&mut [], &[0], device),
    };
    knn::backward(&grad, &mut gradients).unwrap();
}

#[test]
fn every_pair_and_the_gradient_of_queries() {
    let mut random = Random(1);
    let (p1, p2): (Vec<f32>, Vec<f32>) = (random.numbers(POINTS * D, 0.0, 1.0), random.numbers(POINTS * D, 0.0, 1.0));
    let grad = random.numbers(POINTS * K, -1.0, 1.0);
    let (mut dists, mut idx, mut of_p1) = (vec![0.0; POINTS * K], vec![0; POINTS * K], vec![0.0; POINTS * D]);
    let device = alone();
    let x = clouds(device, 1, &p1, &p2);
    forward(device, &x, &mut dists, &mut idx);
    backward(device, &x, &idx, &grad, &mut of_p1);

    let n = WIDE / POINTS + 1;
    let (p1, p2, grad) = (batch(n, &p1), batch(n, &p2), batch(n, &grad));
    let (mut wide_dists, mut wide_idx) = (Sparse::new(n * POINTS * K), Sparse::new(n * POINTS * K));
    let mut wide_of_p1 = Sparse::new(n * POINTS * D);
    let device = end();
    let x = clouds(device, n, p1.all(), p2.all());
    forward(device, &x, wide_dists.all_mut(), wide_idx.all_mut());
    backward(device, &x, wide_idx.all(), grad.all(), wide_of_p1.all_mut());
    assert_eq!(wide_dists.end(dists.len()), dists);
    assert_eq!(wide_idx.end(idx.len()), idx);
    assert_eq!(wide_of_p1.end(of_p1.len()), of_p1);
}

/// What each slot chose; the pairs themselves are sorted in between.
#[test]
fn the_points_that_slots_name() {
    let mut random = Random(3);
    let mut idx: Vec<i64> = (0..POINTS * K).map(|_| ((random.next() >> 11) % POINTS as u64) as i64).collect();
    (idx[5], idx[6]) = (-1, POINTS as i64);
    let n = WIDE / (POINTS * K) + 1;
    let mut lengths1 = batch(n, &[POINTS as i64 - 1]);
    let (mut wide_idx, mut keys) = (batch(n, &idx), Sparse::<u64>::new(n * POINTS * K));
    let targets = (n * POINTS) as i64;
    let absent = DevicePtr::default();
    let params = KnnParams {
        p1: absent,
        p2: absent,
        lengths1: pointer(lengths1.all_mut()),
        lengths2: absent,
        dists: absent,
        idx: pointer(wide_idx.all_mut()),
        grad_dists: absent,
        grad_p1: absent,
        grad_p2: absent,
        inverse: Inverse {
            keys: pointer(keys.all_mut()),
            segments: Segments { segments: targets, ..Segments::default() },
            wide: 1,
            ..Inverse::default()
        },
        tree: DeviceTree::default(),
        order: absent,
        n: n as i64,
        num_p1: POINTS as i64,
        num_p2: POINTS as i64,
        d: D as i64,
        k: K as i64,
        tile: 0,
        limit: f64::INFINITY,
        norm: 2,
        limited: 0,
    };
    let blocks = (n * POINTS * K).div_ceil(128);
    let some = (blocks - POINTS * K / 128) as u64..blocks as u64;
    let (grid, params) = ([blocks as u32, 1, 1], (&raw const params).cast());
    launch_some(some, Order::Forward, "knn_backward_targets", grid, [128, 1, 1], 0, params).unwrap();
    let first = targets - POINTS as i64;
    for (slot, (&key, &point)) in keys.end(POINTS * K).iter().zip(&idx).enumerate() {
        let names = slot / K < POINTS - 1 && (0..POINTS as i64).contains(&point);
        assert_eq!(key, if names { first + point } else { targets } as u64, "slot {slot}");
    }
}

/// Of each padded cloud, so that few of them have more than 2^32 points. As many queries are too many to be ordered.
const PADDED: usize = 1 << 21;

#[test]
fn down_a_tree() {
    const COUNT: usize = 3000;
    // Those of the last block.
    const QUERIES: usize = 128;
    let mut random = Random(6);
    let queries = random.numbers::<f32>(QUERIES, 0.0, 1.0);
    let mut points = vec![0.0_f32; PADDED];
    points[..COUNT].copy_from_slice(&random.numbers::<f32>(COUNT, 0.0, 1.0));
    let lengths = [COUNT as i64];
    let cpu = Device::SERIAL;
    let of_points = point_index::Inputs {
        points: tensor(&points, &[1, PADDED, 1], cpu),
        lengths: Some(tensor(&lengths, &[1], cpu)),
    };
    let layout = point_index::check(&of_points).unwrap().1;
    let shapes = |n: usize| {
        let ([leaves, d, width], [nodes, ends, _, _], [ids, _]) = (layout.points(), layout.boxes(), layout.ids());
        ([n, leaves, d, width], [n, nodes, ends, d, width], [n, ids, width])
    };
    let (of_leaves, of_boxes, of_ids) = shapes(1);
    let (mut leaves, mut boxes) = (vec![0.0_f32; of_leaves.iter().product()], vec![0.0_f32; of_boxes.iter().product()]);
    let mut ids = vec![0_i32; of_ids.iter().product()];
    let mut built = point_index::Outputs {
        leaves: tensor_mut(&mut leaves, &of_leaves, cpu),
        boxes: tensor_mut(&mut boxes, &of_boxes, cpu),
        ids: tensor_mut(&mut ids, &of_ids, cpu),
        scratch: tensor_mut::<u8>(&mut [], &[0], cpu),
    };
    point_index::forward(&of_points, &mut built).unwrap();
    let x = Inputs {
        p1: tensor(&queries, &[1, QUERIES, 1], cpu),
        p2: of_points.points,
        lengths1: None,
        lengths2: of_points.lengths,
        trees: None,
        norm: Norm::SquaredL2,
        k: K,
    };
    let (mut dists, mut idx) = (vec![0.0; QUERIES * K], vec![0; QUERIES * K]);
    forward(cpu, &x, &mut dists, &mut idx);

    let n = WIDE / PADDED + 1;
    // Only the last block: the other trees are zeros.
    let device = emulated_end(Order::Forward, 1);
    let (of_leaves, of_boxes, of_ids) = shapes(n);
    let (leaves, boxes, ids) = (batch(n, &leaves), batch(n, &boxes), batch(n, &ids));
    // A search reads the trees, not the points.
    let (queries, points) = (batch(n * PADDED / QUERIES, &queries), Sparse::new(n * PADDED));
    let lengths = batch(n, &lengths);
    let x = Inputs {
        p1: tensor(queries.all(), &[n, PADDED, 1], device),
        p2: tensor::<f32>(points.all(), &[n, PADDED, 1], device),
        lengths1: None,
        lengths2: Some(tensor(lengths.all(), &[n], device)),
        trees: Some(Trees {
            leaves: tensor(leaves.all(), &of_leaves, device),
            boxes: tensor(boxes.all(), &of_boxes, device),
            ids: tensor(ids.all(), &of_ids, device),
        }),
        norm: Norm::SquaredL2,
        k: K,
    };
    let (mut wide_dists, mut wide_idx) = (Sparse::new(n * PADDED * K), Sparse::new(n * PADDED * K));
    forward(device, &x, wide_dists.all_mut(), wide_idx.all_mut());
    assert_eq!(wide_dists.end(dists.len()), dists);
    assert_eq!(wide_idx.end(idx.len()), idx);
}
