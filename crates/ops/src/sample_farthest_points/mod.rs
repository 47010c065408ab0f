// SPDX-License-Identifier: Apache-2.0
//! Farthest point sampling: from a start on, the point of each cloud that is farthest from those chosen before it.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/sample_farthest_points.py`. Page:
//! `docs/ops/sample_farthest_points.md`.
//!
//! A squared distance is accumulated axis by axis with one rounding each (`d = fma(x, x, d)`), on every device; what is
//! not below infinity (overflow, NaN) counts as infinity. Ties go to the lowest index and no point is chosen twice, so
//! the result is unique.

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

use crate::knn::check_count;

const OPERATOR: &str = "sample_farthest_points";

/// A number of points to choose from a signed number.
pub fn count(k: i64) -> Result<usize> {
    usize::try_from(k).map_err(|_| Error::value(OPERATOR, "K", "at least 0", k.to_string()))
}

/// A padded batch of clouds.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Points, (N, P, D), float32 or float64.
    pub points: Tensor<'a>,
    /// How many points of each cloud count, (N,) int64; absent means all. Values outside [0, P] are an error where the
    /// host can see them, and clamped on a GPU.
    pub lengths: Option<Tensor<'a>>,
    /// How many points to choose of each cloud, (N,) int64; absent means K. Values are clamped to [0, K].
    pub counts: Option<Tensor<'a>>,
    /// The point to begin with, (N,) int64; absent means 0. Values are clamped to the points that count.
    pub start: Option<Tensor<'a>>,
    /// Slots of a row of the result, any number.
    pub k: usize,
}

/// What is chosen.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Indices, (N, K) int64, in the order in which they are chosen; -1 at and beyond `min(counts, lengths)`.
    pub idx: TensorMut<'a>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Clouds.
    pub n: usize,
    /// Points of a padded cloud.
    pub p: usize,
    /// Dimension.
    pub d: usize,
    /// Slots of a row.
    pub k: usize,
}

/// Checks the inputs; the one place that does.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    argument(OPERATOR, "points", &x.points).real()?.shape("(N, P, D)", &[None, None, None])?;
    let (n, p, d) = (x.points.shape()[0], x.points.shape()[1], x.points.shape()[2]);
    if d == 0 {
        return Err(Error::value(OPERATOR, "points", "of at least one coordinate a point", "0"));
    }
    check_count(OPERATOR, "points", p)?;
    for (name, tensor) in [("lengths", &x.lengths), ("K", &x.counts), ("the start", &x.start)] {
        if let Some(tensor) = tensor {
            argument(OPERATOR, name, tensor)
                .dtype(DType::I64)?
                .shape("(N,)", &[Some(n)])?
                .beside("points", &x.points)?;
        }
    }
    if let (Some(lengths), Device::Cpu { .. }) = (&x.lengths, x.points.device()) {
        let outside = |length: &&i64| usize::try_from(**length).map_or(true, |length| length > p);
        if let Some(length) = lengths.as_slice::<i64>()?.iter().find(outside) {
            return Err(Error::value(OPERATOR, "lengths", format!("in [0, P] = [0, {p}]"), length.to_string()));
        }
    }
    if n.max(1).checked_mul(x.k).is_none_or(|slots| slots > isize::MAX as usize / 8) {
        return Err(Error::value(OPERATOR, "K", "so small that the result can be addressed", x.k.to_string()));
    }
    Ok(Sizes { n, p, d, k: x.k })
}

/// Bytes of scratch that [`forward`] needs.
pub fn scratch_bytes(x: &Inputs<'_>, sizes: Sizes) -> usize {
    match x.points.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(x.points.dtype(), sizes),
    }
}

/// Chooses the points.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    argument(OPERATOR, "idx", &out.idx.view())
        .dtype(DType::I64)?
        .shape("(N, K)", &[Some(sizes.n), Some(sizes.k)])?
        .beside("points", &x.points)?;
    scratch(OPERATOR, &out.scratch, scratch_bytes(x, sizes), "points", &x.points)?;
    match x.points.device() {
        Device::Cpu { threads } => match x.points.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, &mut out.idx),
            _ => cpu::forward::<f32>(x, sizes, threads, &mut out.idx),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("sample_farthest_points");

pub use cuda::SampleFarthestPointsParams;
