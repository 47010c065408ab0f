// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::inverse::Inverse;
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
        pub cells: Inverse,
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
            cells: Inverse::default(),
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

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    Inverse::bytes(cells(sizes), sizes.b * sizes.p)
}

pub(super) fn forward(
    gpu: Gpu,
    cloud: &Cloud<'_>,
    initial: &Volumes<'_>,
    sizes: Sizes,
    out: &mut Outputs<'_>,
) -> Result<()> {
    let mut params = PointsToVolumesParams::new(cloud, initial, sizes);
    params.out_densities = out.densities.device_ptr();
    params.out_features = out.features.device_ptr();
    params.cells = Inverse::new(out.scratch.device_ptr(), cells(sizes));
    let suffix = cloud.points.dtype().suffix();
    let prefix = "points_to_volumes";
    let launch = |pass: &str, blocks_y: usize, elements: usize| {
        let kernel = format!("{prefix}_{pass}_{suffix}");
        let blocks = elements.div_ceil(THREADS as usize);
        gpu.launch(&MODULE, &kernel, Grid::of_blocks(&kernel, [blocks, blocks_y, 1], THREADS)?, &params)
    };
    let points = sizes.b * sizes.p;
    launch("clear", 1, cells(sizes) + 1)?;
    launch("count", 1, points)?;
    launch("scan", 1, 256 * (cells(sizes) / 2048 + 1))?;
    launch("totals", 1, 256)?;
    launch("place", 1, points)?;
    launch("sort", 1, cells(sizes))?;
    launch("forward", sizes.c.div_ceil(CHANNELS).max(1), sizes.b * sizes.volume())
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
