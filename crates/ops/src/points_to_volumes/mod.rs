// SPDX-License-Identifier: Apache-2.0
//! Points that cast their features as votes for the voxels around them.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/points_to_volumes.py`. Page: `docs/ops/points_to_volumes.md`.
//!
//! With `splat` a point votes for the eight voxels around it, each with the product over the axes of one less the
//! distance in voxels; without, for the nearest one, halves away from zero. A vote of weight w adds `point_weight` w to
//! the densities and that times the features to the features. Votes for voxels that are not there, and votes of weight
//! 0, are not cast; nor are those of points that are masked, not finite, or no voxel's neighbours.
//!
//! The sum at a voxel begins with what it held. Votes follow by rows of cells and, within a row, by the number of the
//! point: the same bits for every number of threads.

mod cpu;
mod cuda;
mod place;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "add_points_features_to_volume_densities_features";

/// Who votes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Cloud<'a> {
    /// (B, P, 3) float32 or float64: x, y, z in [-1, 1] from one end of the volume to the other.
    pub points: Tensor<'a>,
    /// (B, P, C), of the same dtype.
    pub features: Tensor<'a>,
    /// The used part (D, H, W) of each volume, (B, 3) int64; without it all is used. On the CPU one that is not within
    /// the volume is an error; on a GPU, where looking would wait for the device, what is beyond is not used.
    pub grid_sizes: Option<Tensor<'a>>,
    /// Which points there are, (B, P) bool; all of them without it.
    pub mask: Option<Tensor<'a>>,
    /// What every vote is multiplied by.
    pub point_weight: f64,
    /// Whether -1 and 1 are the centres of the outermost voxels or their outer borders.
    pub align_corners: bool,
    /// Whether a point votes for the eight voxels around it or for the nearest.
    pub splat: bool,
}

/// Volumes, or their gradients.
#[derive(Debug, Clone, Copy)]
pub struct Volumes<'a> {
    /// (B, 1, D, H, W), of the dtype of the points.
    pub densities: Tensor<'a>,
    /// (B, C, D, H, W); zeros where absent.
    pub features: Option<Tensor<'a>>,
}

/// What the forward pass writes.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// (B, 1, D, H, W)
    pub densities: TensorMut<'a>,
    /// (B, C, D, H, W)
    pub features: TensorMut<'a>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// What the backward pass writes. The gradients of the volumes are the incoming ones.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of the points, (B, P, 3), if it is asked for; only with `splat`. Where a point stands on a voxel's centre
    /// along an axis, it is the derivative towards greater indices.
    pub points: Option<TensorMut<'a>>,
    /// Gradient of the features, (B, P, C), if it is asked for.
    pub features: Option<TensorMut<'a>>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Volumes.
    pub b: usize,
    /// Points of each.
    pub p: usize,
    /// Features of a point.
    pub c: usize,
    /// Voxels along x, y, z: W, H, D.
    pub voxels: [usize; 3],
}

impl Sizes {
    /// The shape of volumes with this many channels.
    pub fn volumes(&self, channels: usize) -> [usize; 5] {
        let [w, h, d] = self.voxels;
        [self.b, channels, d, h, w]
    }

    /// Voxels of a volume.
    fn volume(&self) -> usize {
        self.voxels.iter().product()
    }
}

/// Checks what every pass reads; the one place that does, but for which grid sizes there are.
pub fn check(cloud: &Cloud<'_>, volumes: &Volumes<'_>) -> Result<Sizes> {
    let points = &cloud.points;
    let argument = |name, tensor| argument(OPERATOR, name, tensor);
    argument("points_3d", points).real()?.shape("(B, P, 3)", &[None, None, Some(3)])?;
    let (b, p, dtype) = (points.shape()[0], points.shape()[1], points.dtype());
    argument("points_features", &cloud.features)
        .dtype(dtype)?
        .shape("(B, P, C)", &[Some(b), Some(p), None])?
        .beside("points_3d", points)?;
    let c = cloud.features.shape()[2];
    let densities = &volumes.densities;
    argument("volume_densities", densities)
        .dtype(dtype)?
        .shape("(B, 1, D, H, W)", &[Some(b), Some(1), None, None, None])?
        .beside("points_3d", points)?;
    let voxels = [4, 3, 2].map(|axis| densities.shape()[axis]);
    let sizes = Sizes { b, p, c, voxels };
    if let Some(features) = &volumes.features {
        argument("volume_features", features)
            .dtype(dtype)?
            .shape("(B, C, D, H, W)", &sizes.volumes(c).map(Some))?
            .beside("points_3d", points)?;
    }
    if let Some(grid_sizes) = &cloud.grid_sizes {
        argument("grid_sizes", grid_sizes)
            .dtype(DType::I64)?
            .shape("(B, 3)", &[Some(b), Some(3)])?
            .beside("points_3d", points)?;
    }
    if let Some(mask) = &cloud.mask {
        argument("mask", mask).dtype(DType::Bool)?.shape("(B, P)", &[Some(b), Some(p)])?.beside("points_3d", points)?;
    }
    // One cell more than voxels along each axis, and a number of 8 bytes for each.
    let cells = voxels.iter().try_fold(8 * b.max(1), |bytes, &size| bytes.checked_mul(size.checked_add(1)?));
    if cells.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        let got = format!("{:?}", densities.shape());
        return Err(Error::value(OPERATOR, "volume_densities", "so small that it can be addressed", got));
    }
    Ok(sizes)
}

fn check_output(cloud: &Cloud<'_>, name: &'static str, out: &TensorMut<'_>, shape: &[usize]) -> Result<()> {
    let sizes: Vec<_> = shape.iter().copied().map(Some).collect();
    argument(OPERATOR, name, &out.view())
        .dtype(cloud.points.dtype())?
        .shape("of what it belongs to,", &sizes)?
        .beside("points_3d", &cloud.points)?;
    Ok(())
}

/// Bytes of scratch that [`forward`] needs.
pub fn scratch_bytes(cloud: &Cloud<'_>, initial: &Volumes<'_>) -> Result<usize> {
    let sizes = check(cloud, initial)?;
    Ok(match cloud.points.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// The initial volumes with all votes added.
pub fn forward(cloud: &Cloud<'_>, initial: &Volumes<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(cloud, initial)?;
    check_output(cloud, "the densities", &out.densities, &sizes.volumes(1))?;
    check_output(cloud, "the features", &out.features, &sizes.volumes(sizes.c))?;
    scratch(OPERATOR, &out.scratch, scratch_bytes(cloud, initial)?, "points_3d", &cloud.points)?;
    match cloud.points.device() {
        Device::Cpu { threads } => match cloud.points.dtype() {
            DType::F64 => cpu::forward::<f64>(cloud, initial, sizes, threads, out),
            _ => cpu::forward::<f32>(cloud, initial, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, cloud, initial, sizes, out),
    }
}

/// The gradients of `sum(grad.densities * densities) + sum(grad.features * features)`.
pub fn backward(cloud: &Cloud<'_>, grad: &Volumes<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(cloud, grad)?;
    if let Some(points) = &out.points {
        check_output(cloud, "the gradient of points_3d", points, &[sizes.b, sizes.p, 3])?;
        if !cloud.splat {
            return Err(Error::value(OPERATOR, "the gradient of points_3d", "of a splat", "that of the nearest voxel"));
        }
    }
    if let Some(features) = &out.features {
        check_output(cloud, "the gradient of points_features", features, &[sizes.b, sizes.p, sizes.c])?;
    }
    match cloud.points.device() {
        Device::Cpu { threads } => match cloud.points.dtype() {
            DType::F64 => cpu::backward::<f64>(cloud, grad, sizes, threads, out),
            _ => cpu::backward::<f32>(cloud, grad, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, cloud, grad, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("points_to_volumes");

pub use cuda::PointsToVolumesParams;
