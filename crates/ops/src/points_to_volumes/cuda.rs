// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::sort::{self, Pairs, Values};
use patina3d_core::{DevicePtr, Gpu, Grid, Result, TensorMut};

use super::{Cloud, Gradients, MODULE, Outputs, Sizes, Volumes};

const THREADS: u32 = 256;
/// Channels that a thread sums up.
const CHANNELS: usize = 4;

patina3d_core::shared_struct! {
    /// `points_to_volumes.h` says what each field is.
    pub struct PointsToVolumesParams {
        pub points: DevicePtr,
        pub features: DevicePtr,
        pub grid_sizes: DevicePtr,
        pub mask: DevicePtr,
        pub densities: DevicePtr,
        pub volume_features: DevicePtr,
        pub out_densities: DevicePtr,
        pub out_features: DevicePtr,
        pub keys: DevicePtr,
        pub order: DevicePtr,
        pub starts: DevicePtr,
        pub cells: i64,
        pub grad_points: DevicePtr,
        pub grad_features: DevicePtr,
        pub b: i64,
        pub p: i64,
        pub c: i64,
        pub w: i64,
        pub h: i64,
        pub d: i64,
        pub point_weight: f64,
        pub align_corners: i32,
        pub splat: i32,
    }
}

impl PointsToVolumesParams {
    fn new(cloud: &Cloud<'_>, volumes: &Volumes<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        let [w, h, d] = sizes.voxels.map(|size| size as i64);
        Self {
            points: cloud.points.device_ptr(),
            features: cloud.features.device_ptr(),
            grid_sizes: DevicePtr::of(cloud.grid_sizes),
            mask: DevicePtr::of(cloud.mask),
            densities: volumes.densities.device_ptr(),
            volume_features: DevicePtr::of(volumes.features),
            out_densities: absent,
            out_features: absent,
            keys: absent,
            order: absent,
            starts: absent,
            cells: cells(sizes) as i64,
            grad_points: absent,
            grad_features: absent,
            b: sizes.b as i64,
            p: sizes.p as i64,
            c: sizes.c as i64,
            w,
            h,
            d,
            point_weight: cloud.point_weight,
            align_corners: cloud.align_corners.into(),
            splat: cloud.splat.into(),
        }
    }
}

/// Cells of all volumes.
fn cells(sizes: Sizes) -> usize {
    sizes.voxels.iter().fold(sizes.b, |cells, size| cells * (size + 1))
}

/// Bits of a key: a cell, or one more than the last for a point that does not vote.
fn key_bits(sizes: Sizes) -> u32 {
    sort::bits_below(cells(sizes) + 1)
}

/// Two times keys and values of all points, where cells begin, and what sorting needs.
pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    let points = sizes.b * sizes.p;
    size_of::<u64>() * (4 * points + cells(sizes) + 1) + sort::bytes(points, key_bits(sizes))
}

pub(super) fn forward(
    gpu: Gpu,
    cloud: &Cloud<'_>,
    initial: &Volumes<'_>,
    sizes: Sizes,
    out: &mut Outputs<'_>,
) -> Result<()> {
    let mut params = PointsToVolumesParams::new(cloud, initial, sizes);
    let suffix = cloud.points.dtype().suffix();
    // Groups of channels follow each other along x, the one axis of a grid that is long enough for any number of them.
    let run = |params: &PointsToVolumesParams, kernel: &str, threads: usize, groups: usize| {
        let blocks = [threads.div_ceil(THREADS as usize) * groups, 1, 1];
        gpu.launch(&MODULE, kernel, Grid::of_blocks(kernel, blocks, THREADS)?, params)
    };
    let points = sizes.b * sizes.p;
    let numbers = |before: usize| out.scratch.device_ptr().after(size_of::<u64>() * before);
    let pairs = |before: usize| Pairs { keys: numbers(before), values: numbers(before + points) };
    let (unsorted, other) = (pairs(0), pairs(2 * points));
    params.keys = unsorted.keys;
    run(&params, &format!("points_to_volumes_keys_{suffix}"), points, 1)?;
    let memory = numbers(4 * points + cells(sizes) + 1);
    let sorted = sort::launch::<u64, u64>(gpu, unsorted, Values::Numbers, other, points, key_bits(sizes), memory)?;
    (params.keys, params.order, params.starts) = (sorted.keys, sorted.values, numbers(4 * points));
    run(&params, "points_to_volumes_starts", cells(sizes) + 1, 1)?;
    params.out_densities = out.densities.device_ptr();
    params.out_features = out.features.device_ptr();
    let groups = sizes.c.div_ceil(CHANNELS).max(1);
    run(&params, &format!("points_to_volumes_forward_{suffix}"), sizes.b * sizes.volume(), groups)
}

pub(super) fn backward(
    gpu: Gpu,
    cloud: &Cloud<'_>,
    grad: &Volumes<'_>,
    sizes: Sizes,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let mut params = PointsToVolumesParams::new(cloud, grad, sizes);
    let pointer = |out: &Option<TensorMut<'_>>| out.as_ref().map_or_else(DevicePtr::default, TensorMut::device_ptr);
    params.grad_points = pointer(&out.points);
    params.grad_features = pointer(&out.features);
    let kernel = format!("points_to_volumes_backward_{}", cloud.points.dtype().suffix());
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, sizes.b * sizes.p, THREADS)?, &params)
}
