// SPDX-License-Identifier: Apache-2.0
//! Votes of points on the emulator against the CPU path: sums within rounding, gradients bit by bit; all of it the same
//! bits in every order of threads and blocks.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_core::{Device, TensorMut};
use patina3d_ops::points_to_volumes::{self as operator, Cloud, Gradients, Outputs, PointsToVolumesParams, Volumes};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

#[derive(Clone, Copy)]
struct Problem {
    b: usize,
    p: usize,
    c: usize,
    /// D, H, W
    voxels: [usize; 3],
    align_corners: bool,
    splat: bool,
}

struct Scene<T> {
    problem: Problem,
    points: Vec<T>,
    features: Vec<T>,
    grid_sizes: Option<Vec<i64>>,
    densities: Vec<T>,
    volume_features: Option<Vec<T>>,
}

/// Densities, features, and the gradients of points and features for gradients like the initial volumes; on memory that
/// holds NaN.
fn everything<T: Scalar>(scene: &Scene<T>, device: Device) -> [Vec<T>; 4] {
    let Problem { b, p, c, voxels: [d, h, w], align_corners, splat } = scene.problem;
    let (of_points, of_features) = ([b, p, 3], [b, p, c]);
    let (of_densities, of_volumes) = ([b, 1, d, h, w], [b, c, d, h, w]);
    let cloud = Cloud {
        points: tensor(&scene.points, &of_points, device),
        features: tensor(&scene.features, &of_features, device),
        grid_sizes: scene.grid_sizes.as_ref().map(|sizes| tensor(sizes, &[b, 3], device)),
        mask: None,
        point_weight: 1.5,
        align_corners,
        splat,
    };
    let volumes = Volumes {
        densities: tensor(&scene.densities, &of_densities, device),
        features: scene.volume_features.as_ref().map(|values| tensor(values, &of_volumes, device)),
    };
    let dirty = |sizes: &[usize]| vec![T::of(f64::NAN); sizes.iter().product()];
    let (mut densities, mut features) = (dirty(&of_densities), dirty(&of_volumes));
    let (mut grad_points, mut grad_features) = (dirty(&of_points), dirty(&of_features));
    let mut memory = vec![0xAA_u8; operator::scratch_bytes(&cloud, &volumes).unwrap() + 16];
    let start = memory.as_ptr().align_offset(16);
    let memory = &mut memory[start..];
    let sizes = [memory.len()];
    let mut out = Outputs {
        densities: tensor_mut(&mut densities, &of_densities, device),
        features: tensor_mut(&mut features, &of_volumes, device),
        scratch: tensor_mut(memory, &sizes, device),
    };
    operator::forward(&cloud, &volumes, &mut out).unwrap();
    let points = splat.then(|| -> TensorMut<'_> { tensor_mut(&mut grad_points, &of_points, device) });
    let mut out = Gradients { points, features: Some(tensor_mut(&mut grad_features, &of_features, device)) };
    operator::backward(&cloud, &volumes, &mut out).unwrap();
    if !splat {
        grad_points.clear();
    }
    [densities, features, grad_points, grad_features]
}

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

fn agrees<T: Scalar>(seed: u64, problem: Problem, spread: f64, whole: bool) {
    let Problem { b, p, c, voxels, .. } = problem;
    let mut random = Random(seed);
    let volume: usize = voxels.iter().product();
    let mut points = random.numbers::<T>(3 * b * p, -spread, spread);
    for (coordinate, strange) in points.iter_mut().step_by(7).zip([f64::NAN, f64::INFINITY, 1e30, -1.0, 1.0]) {
        *coordinate = T::of(strange);
    }
    let mut used = |i: usize| (random.next() >> 11) as i64 % (voxels[i % 3] as i64 + 1);
    let grid_sizes = if whole { None } else { Some((0..3 * b).map(&mut used).collect()) };
    let scene = Scene {
        problem,
        points,
        grid_sizes,
        features: random.numbers(b * p * c, -1.0, 1.0),
        densities: random.numbers(b * volume, -1.0, 1.0),
        volume_features: whole.then(|| random.numbers(b * c * volume, -1.0, 1.0)),
    };
    let expected = everything(&scene, Device::SERIAL);
    let mut first: Option<[Vec<T>; 4]> = None;
    for order in ORDERS {
        let got = everything(&scene, emulated(order));
        for (got, expected) in got[..2].iter().zip(&expected[..2]) {
            for (got, expected) in got.iter().zip(expected) {
                let error = (got.to_f64() - expected.to_f64()).abs();
                let bound = 4.0 * T::ULP.to_f64() * (p as f64 + 1.0);
                assert!(error <= bound, "{}, not {}, {order:?}", got.to_f64(), expected.to_f64());
            }
        }
        assert_eq!(bits(&got[2]), bits(&expected[2]), "{order:?}");
        assert_eq!(bits(&got[3]), bits(&expected[3]), "{order:?}");
        let first = first.get_or_insert_with(|| got.clone());
        for (got, first) in got.iter().zip(first) {
            assert_eq!(bits(got), bits(first), "{order:?}");
        }
    }
}

#[test]
fn agrees_with_the_cpu() {
    let problems = [
        (1, 1, 1, [1, 1, 1], 1.0),
        (2, 300, 3, [4, 3, 5], 1.4),
        (1, 40, 9, [2, 1, 33], 1.1),
        // So many points in a voxel that a warp collects them, and so many that they are sorted in tiles.
        (1, 5000, 2, [2, 2, 3], 0.3),
    ];
    for (seed, (b, p, c, voxels, spread)) in (1..).zip(problems) {
        for (align_corners, splat) in [(true, true), (false, true), (true, false), (false, false)] {
            let problem = Problem { b, p, c, voxels, align_corners, splat };
            agrees::<f32>(seed, problem, spread, splat);
            agrees::<f64>(seed, problem, spread, !splat);
        }
    }
}

#[test]
fn no_volumes_no_points_no_features_no_voxels() {
    for (b, p, c, voxels) in [(0, 3, 2, [2, 2, 2]), (2, 0, 2, [2, 2, 2]), (2, 3, 0, [2, 2, 2]), (2, 3, 2, [2, 0, 2])] {
        agrees::<f32>(5, Problem { b, p, c, voxels, align_corners: true, splat: true }, 1.0, true);
    }
}

#[test]
fn the_params_have_one_layout() {
    let rust: Vec<_> = PointsToVolumesParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(patina3d_emulator::layout(PointsToVolumesParams::NAME).unwrap(), rust);
}
