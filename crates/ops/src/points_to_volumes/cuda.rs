// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::inverse::{Inverse, Unsorted};
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
        pub inverse: Inverse,
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
            inverse: Inverse::default(),
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

/// Nothing is reduced by segments: rows have no bytes.
const ROW: usize = 0;

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    Unsorted::bytes(cells(sizes), sizes.b * sizes.p, ROW)
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
    let unsorted = Unsorted::new(out.scratch.device_ptr(), cells(sizes), points, 0, ROW);
    params.inverse = unsorted.inverse();
    run(&params, &format!("points_to_volumes_targets_{suffix}"), points, 1)?;
    params.inverse = unsorted.sorted(gpu)?;
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
