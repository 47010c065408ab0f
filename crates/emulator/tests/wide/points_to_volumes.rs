// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 points, cells and voxels.

use patina3d_core::inverse::{Inverse, InverseParams};
use patina3d_core::segments::Segments;
use patina3d_core::{Device, DevicePtr};
use patina3d_emulator::{Order, launch_some};
use patina3d_ops::points_to_volumes::{self as operator, Cloud, Gradients, Outputs, PointsToVolumesParams, Volumes};

use crate::support::{Random, Sparse, pointer, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end, scratch};

/// D, H, W
const SIZES: [usize; 3] = [16, 8, 8];
const VOXELS: usize = SIZES[0] * SIZES[1] * SIZES[2];
const CELLS: usize = (SIZES[0] + 1) * (SIZES[1] + 1) * (SIZES[2] + 1);
const P: usize = 1536;
const C: usize = 4;
const B: usize = WIDE / VOXELS + 1;

fn cloud<'a>(device: Device, b: usize, points: &'a [f32], features: &'a [f32]) -> Cloud<'a> {
    Cloud {
        points: tensor(points, &[b, P, 3], device),
        features: tensor(features, &[b, P, C], device),
        grid_sizes: None,
        mask: None,
        point_weight: 1.5,
        align_corners: true,
        splat: true,
    }
}

fn volumes<'a>(device: Device, b: usize, densities: &'a [f32], features: &'a [f32]) -> Volumes<'a> {
    let [d, h, w] = SIZES;
    Volumes {
        densities: tensor(densities, &[b, 1, d, h, w], device),
        features: Some(tensor(features, &[b, C, d, h, w], device)),
    }
}

fn random_scene() -> [Vec<f32>; 4] {
    let mut random = Random(10);
    [3 * P, C * P, VOXELS, C * VOXELS].map(|count| random.numbers(count, -1.0, 1.0))
}

#[test]
fn gradients() {
    let run = |device, b, [points, features, densities, of_features]: [&[f32]; 4], out: [&mut [f32]; 2]| {
        let [of_points, of_point_features] = out;
        let mut out = Gradients {
            points: Some(tensor_mut(of_points, &[b, P, 3], device)),
            features: Some(tensor_mut(of_point_features, &[b, P, C], device)),
        };
        let grad = volumes(device, b, densities, of_features);
        operator::backward(&cloud(device, b, points, features), &grad, &mut out).unwrap();
    };
    let scene = random_scene();
    let (mut of_points, mut of_features) = (vec![0.0; 3 * P], vec![0.0; C * P]);
    run(alone(), 1, scene.each_ref().map(|values| &values[..]), [&mut of_points, &mut of_features]);

    let scene = scene.map(|values| batch(B, &values));
    let (mut wide_of_points, mut wide_of_features) = (Sparse::new(3 * P * B), Sparse::new(C * P * B));
    run(end(), B, scene.each_ref().map(Sparse::all), [wide_of_points.all_mut(), wide_of_features.all_mut()]);
    assert_eq!(wide_of_points.end(3 * P), of_points);
    assert_eq!(wide_of_features.end(C * P), of_features);
}

/// Kernel by kernel, for all points are sorted before it is found where those of each cell begin.
#[test]
fn votes() {
    let scene = random_scene();
    let [d, h, w] = SIZES;
    let device = alone();
    let [points, features, densities, of_features] = scene.each_ref().map(|values| &values[..]);
    let (cloud, initial) = (cloud(device, 1, points, features), volumes(device, 1, densities, of_features));
    let (mut out_densities, mut out_features) = (vec![0.0; VOXELS], vec![0.0; C * VOXELS]);
    let mut memory = scratch(operator::scratch_bytes(&cloud, &initial).unwrap());
    let memory = memory.all_mut();
    let bytes = [memory.len()];
    let mut out = Outputs {
        densities: tensor_mut(&mut out_densities, &[1, 1, d, h, w], device),
        features: tensor_mut(&mut out_features, &[1, C, d, h, w], device),
        scratch: tensor_mut(memory, &bytes, device),
    };
    operator::forward(&cloud, &initial, &mut out).unwrap();

    let mut inputs = scene.map(|values| batch(B, &values));
    let [points, features, densities, volume_features] = inputs.each_mut().map(|values| pointer(values.all_mut()));
    let (mut wide_densities, mut wide_features) = (Sparse::<f32>::new(B * VOXELS), Sparse::<f32>::new(B * C * VOXELS));
    let (mut keys, mut order) = (Sparse::<u64>::new(B * P), Sparse::<u64>::new(B * P));
    let mut first = Sparse::<u64>::new(B * CELLS + 1);
    let (keys_at, first_at) = (pointer(keys.all_mut()), pointer(first.all_mut()));
    let params = PointsToVolumesParams {
        points,
        features,
        grid_sizes: DevicePtr::default(),
        mask: DevicePtr::default(),
        densities,
        volume_features,
        out_densities: pointer(wide_densities.all_mut()),
        out_features: pointer(wide_features.all_mut()),
        inverse: Inverse {
            keys: keys_at,
            numbers: pointer(order.all_mut()),
            segments: Segments { first: first_at, segments: (B * CELLS) as i64, ..Segments::default() },
            wide: 1,
            reserved: 0,
        },
        grad_points: DevicePtr::default(),
        grad_features: DevicePtr::default(),
        b: B as i64,
        p: P as i64,
        c: C as i64,
        w: w as i64,
        h: h as i64,
        d: d as i64,
        point_weight: 1.5,
        align_corners: 1,
        splat: 1,
    };
    // The last threads of a kernel.
    let launch = |kernel: &str, params: *const u8, threads: usize, last: usize| {
        let blocks = threads.div_ceil(256);
        let some = (blocks - last.div_ceil(256) - 1) as u64..blocks as u64;
        launch_some(some, Order::Forward, kernel, [blocks as u32, 1, 1], [256, 1, 1], 0, params).unwrap();
    };
    let of_operator = (&raw const params).cast();
    launch("points_to_volumes_targets_f32", of_operator, B * P, P);
    let keys = keys.end(P);
    let mut sorted: Vec<(u64, u64)> = keys.iter().copied().zip((B - 1) as u64 * P as u64..).collect();
    sorted.sort_unstable();
    for (slot, (key, point)) in sorted.into_iter().enumerate() {
        keys[slot] = key;
        order.end(P)[slot] = point;
    }
    let starts = InverseParams { keys: keys_at, first: first_at, targets: (B * CELLS) as i64, pairs: (B * P) as i64 };
    launch("inverse_starts_u64", (&raw const starts).cast(), B * CELLS + 1, CELLS + 1);
    launch("points_to_volumes_forward_f32", of_operator, B * VOXELS, VOXELS - 256);
    assert_eq!(wide_densities.end(VOXELS), out_densities);
    assert_eq!(wide_features.end(C * VOXELS), out_features);
}
