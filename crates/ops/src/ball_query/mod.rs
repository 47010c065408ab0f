// SPDX-License-Identifier: Apache-2.0
//! For each point of one cloud, K points of the other that lie in a ball around it: the first by index, or the nearest.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/ball_query.py`. Page: `docs/ops/ball_query.md`.
//!
//! Squared distances are those of [`crate::knn`], to the bit. A point is in the ball if its squared distance is below
//! [`Inputs::limit`]: the radius, rounded to the type of the points and squared with one rounding, on every device. The
//! gradient is [`crate::knn::backward`]: slots without a point have an index that it passes over.

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::geometry::{Scalar, greater};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

use crate::knn::{self, Clouds, Norm, check_clouds, check_count, check_slots};
use crate::point_index::{Checked, Trees};

pub use crate::knn::{Outputs, Sizes};

/// The name in errors.
pub const OPERATOR: &str = "ball_query";

/// Which of the points in a ball are kept, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those with the lowest indices, ascending.
    Index,
    /// The nearest, ascending by (distance, index).
    Nearest,
}

/// Two padded batches of clouds, and the balls.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Centres, (N, P1, D), float32 or float64.
    pub p1: Tensor<'a>,
    /// Points to find, (N, P2, D), of the same dtype.
    pub p2: Tensor<'a>,
    /// How many centres of each cloud count, (N,) int64; absent means all. Values are clamped to [0, P1].
    pub lengths1: Option<Tensor<'a>>,
    /// How many points of each cloud count, (N,) int64; absent means all. Values are clamped to [0, P2].
    pub lengths2: Option<Tensor<'a>>,
    /// Trees over `p2` with `lengths2`, if they have been built already.
    pub trees: Option<Trees<'a>>,
    /// Points to keep, any number.
    pub k: usize,
    /// At least 0; may be infinite.
    pub radius: f64,
    /// Which are kept.
    pub order: Order,
}

impl Inputs<'_> {
    /// Squared distances below this are in a ball, in the type of the points. A radius above 0 reaches every
    /// point whose squared distance rounds to 0, even where its own square is too small for the type.
    pub fn limit(&self) -> f64 {
        fn square<T: Scalar>(radius: f64) -> f64 {
            let rounded = T::of(radius);
            let least = if radius > 0.0 { T::ZERO.next_up() } else { T::ZERO };
            greater(rounded * rounded, least).to_f64()
        }
        if self.p1.dtype() == DType::F64 { square::<f64>(self.radius) } else { square::<f32>(self.radius) }
    }
}

impl<'a> Inputs<'a> {
    /// The search that finds the nearest, the limit aside.
    fn neighbours(&self) -> knn::Inputs<'a> {
        let Self { p1, p2, lengths1, lengths2, trees, k, .. } = *self;
        knn::Inputs { p1, p2, lengths1, lengths2, trees, norm: Norm::SquaredL2, k }
    }

    /// The trees, if they fit.
    fn checked_trees(&self) -> Result<Option<Checked<'a>>> {
        self.trees.map(|trees| trees.check(OPERATOR, "p2", &self.p2)).transpose()
    }
}

/// Checks the inputs; the one place that does.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    let centres = Clouds { points: ("p1", "(N, P1, D)", &x.p1), lengths: ("lengths1", x.lengths1.as_ref()) };
    let points = Clouds { points: ("p2", "(N, P2, D)", &x.p2), lengths: ("lengths2", x.lengths2.as_ref()) };
    let (n, p1, p2, d) = check_clouds(OPERATOR, [centres, points])?;
    check_count(OPERATOR, "p2", p2)?;
    x.checked_trees()?;
    check_slots(OPERATOR, n, p1, x.k)?;
    if x.radius.is_nan() || x.radius < 0.0 {
        return Err(Error::value(OPERATOR, "radius", "at least 0", x.radius.to_string()));
    }
    Ok(Sizes { n, p1, p2, d, k: x.k })
}

/// Bytes of scratch that [`forward`] needs.
pub fn scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    let sizes = check(x)?;
    match x.p1.device() {
        Device::Cpu { .. } => Ok(0),
        Device::Gpu(_) => knn::cuda::forward_scratch_bytes(&x.neighbours(), sizes),
    }
}

/// Finds the points. Slots without one, and rows at and beyond `lengths1`, are 0 in `dists` and -1 in `idx`.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    out.check(OPERATOR, sizes, &x.p1)?;
    scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "p1", &x.p1)?;
    match x.p1.device() {
        Device::Cpu { threads } => match x.p1.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// What [`gather`] reads.
#[derive(Debug, Clone, Copy)]
pub struct GatherInputs<'a> {
    /// (N, P2, D), float32 or float64.
    pub points: Tensor<'a>,
    /// Which point each slot holds, (N, P1, K) int64; a number outside [0, P2) marks a slot without one.
    pub idx: Tensor<'a>,
}

/// Checks the inputs of [`gather`]; the one place that does. Returns the shape of its output.
pub fn check_gather(x: &GatherInputs<'_>) -> Result<[usize; 4]> {
    argument(OPERATOR, "points", &x.points).real()?.shape("(N, P2, D)", &[None, None, None])?;
    let (n, d) = (x.points.shape()[0], x.points.shape()[2]);
    argument(OPERATOR, "idx", &x.idx)
        .dtype(DType::I64)?
        .shape("(N, P1, K)", &[Some(n), None, None])?
        .beside("points", &x.points)?;
    Ok([n, x.idx.shape()[1], x.idx.shape()[2], d])
}

/// The points that slots hold, (N, P1, K, D) of the dtype of the points; 0 in slots without one.
pub fn gather(x: &GatherInputs<'_>, out: &mut TensorMut<'_>) -> Result<()> {
    let shape = check_gather(x)?;
    argument(OPERATOR, "the gathered points", &out.view())
        .dtype(x.points.dtype())?
        .shape("(N, P1, K, D)", &shape.map(Some))?
        .beside("points", &x.points)?;
    match x.points.device() {
        Device::Cpu { threads } => match x.points.dtype() {
            DType::F64 => cpu::gather::<f64>(x, shape, threads, out),
            _ => cpu::gather::<f32>(x, shape, threads, out),
        },
        Device::Gpu(gpu) => cuda::gather(gpu, x, shape, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("ball_query");

pub use cuda::BallQueryParams;
