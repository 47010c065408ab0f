// SPDX-License-Identifier: Apache-2.0
//! Nearest points both ways: for each point of each of two clouds, the nearest point of the other. What the Chamfer
//! distance adds up.
//!
//! Definition: `packages/ops/src/patina3d/loss/_reference/chamfer.py`. Page: `docs/loss/chamfer.md`.
//!
//! Either way is [`crate::knn`] with one neighbour, to the bit: the same distances, the same order (distance, index).

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Module, Result, Tensor, TensorMut};

use crate::knn::{self, Clouds, Norm, check_clouds, check_count};
use crate::point_index::Trees;

const OPERATOR: &str = "chamfer_distance";

/// Two padded batches of clouds.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// (N, P1, D), float32 or float64.
    pub x: Tensor<'a>,
    /// (N, P2, D), of the same dtype.
    pub y: Tensor<'a>,
    /// How many points of each cloud of `x` count, (N,) int64; absent means all. Values are clamped to [0, P1].
    pub x_lengths: Option<Tensor<'a>>,
    /// How many points of each cloud of `y` count, (N,) int64; absent means all. Values are clamped to [0, P2].
    pub y_lengths: Option<Tensor<'a>>,
    /// Trees over `x` with `x_lengths`, if they have been built already. They are searched where that is quicker.
    pub x_trees: Option<Trees<'a>>,
    /// Trees over `y` with `y_lengths`, likewise.
    pub y_trees: Option<Trees<'a>>,
    /// What distance means.
    pub norm: Norm,
}

impl<'a> Inputs<'a> {
    /// The searches of the points of `x` in `y` and of those of `y` in `x`.
    fn ways(&self) -> [knn::Inputs<'a>; 2] {
        let Self { x, y, x_lengths, y_lengths, x_trees, y_trees, norm } = *self;
        [
            knn::Inputs { p1: x, p2: y, lengths1: x_lengths, lengths2: y_lengths, trees: y_trees, norm, k: 1 },
            knn::Inputs { p1: y, p2: x, lengths1: y_lengths, lengths2: x_lengths, trees: x_trees, norm, k: 1 },
        ]
    }
}

/// For each point of one batch the nearest of the other. 0 for points beyond the cloud's length, and where the other
/// cloud has no points.
#[derive(Debug)]
pub struct Nearest<'a> {
    /// Distances, (N, P), of the dtype of the inputs.
    pub dists: TensorMut<'a>,
    /// Indices into the same cloud of the other batch, (N, P) int64.
    pub idx: TensorMut<'a>,
}

/// Both ways.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Of each point of `x`, (N, P1).
    pub x: Nearest<'a>,
    /// Of each point of `y`, (N, P2).
    pub y: Nearest<'a>,
    /// Bytes for the device, at least [`forward_scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs.
    pub inputs: Inputs<'a>,
    /// The forward's indices into `y`, (N, P1); a number outside [0, P2) marks a point without a nearest one.
    pub idx_x: Tensor<'a>,
    /// The forward's indices into `x`, (N, P2), likewise.
    pub idx_y: Tensor<'a>,
    /// Gradient of the distances of `x`, (N, P1).
    pub grad_dists_x: Tensor<'a>,
    /// Gradient of the distances of `y`, (N, P2).
    pub grad_dists_y: Tensor<'a>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of `x`, if it is asked for.
    pub x: Option<TensorMut<'a>>,
    /// Gradient of `y`, if it is asked for.
    pub y: Option<TensorMut<'a>>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Clouds.
    pub n: usize,
    /// Points of a padded cloud of `x`.
    pub p1: usize,
    /// Points of a padded cloud of `y`.
    pub p2: usize,
    /// Dimension.
    pub d: usize,
}

impl Sizes {
    /// Those of the search of the points of `x` in `y`, and of the other way.
    fn ways(self) -> [knn::Sizes; 2] {
        let Self { n, p1, p2, d } = self;
        [knn::Sizes { n, p1, p2, d, k: 1 }, knn::Sizes { n, p1: p2, p2: p1, d, k: 1 }]
    }
}

/// Checks the forward's inputs; the one place that does.
pub fn check(inputs: &Inputs<'_>) -> Result<Sizes> {
    let x = Clouds { points: ("x", "(N, P1, D)", &inputs.x), lengths: ("x_lengths", inputs.x_lengths.as_ref()) };
    let y = Clouds { points: ("y", "(N, P2, D)", &inputs.y), lengths: ("y_lengths", inputs.y_lengths.as_ref()) };
    let (n, p1, p2, d) = check_clouds(OPERATOR, [x, y])?;
    check_count(OPERATOR, "x", p1)?;
    check_count(OPERATOR, "y", p2)?;
    for (name, points, trees) in [("x", &inputs.x, inputs.x_trees), ("y", &inputs.y, inputs.y_trees)] {
        trees.map(|trees| trees.check(OPERATOR, name, points)).transpose()?;
    }
    Ok(Sizes { n, p1, p2, d })
}

/// Bytes of scratch that [`forward`] needs.
pub fn forward_scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    let sizes = check(x)?;
    match x.x.device() {
        Device::Cpu { .. } => Ok(0),
        Device::Gpu(_) => cuda::forward_scratch_bytes(x, sizes),
    }
}

/// Finds the nearest points.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    for (letters, points, nearest) in [("(N, P1)", sizes.p1, &out.x), ("(N, P2)", sizes.p2, &out.y)] {
        let shape = [sizes.n, points].map(Some);
        let (dists, idx) = (nearest.dists.view(), nearest.idx.view());
        argument(OPERATOR, "the distances", &dists).dtype(x.x.dtype())?.shape(letters, &shape)?.beside("x", &x.x)?;
        argument(OPERATOR, "the indices", &idx).dtype(DType::I64)?.shape(letters, &shape)?.beside("x", &x.x)?;
    }
    scratch(OPERATOR, &out.scratch, forward_scratch_bytes(x)?, "x", &x.x)?;
    match x.x.device() {
        Device::Cpu { threads } => match x.x.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// Bytes of scratch that [`backward`] needs.
pub fn scratch_bytes(x: &GradInputs<'_>) -> Result<usize> {
    let sizes = check(&x.inputs)?;
    Ok(match x.inputs.x.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// The gradients of `sum(grad_dists_x * dists_x) + sum(grad_dists_y * dists_y)`. To each point come the terms of the
/// points that chose it, in ascending order, and to their sum the term of its own choice. At equal coordinates the
/// gradient of the absolute difference is 0.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    let like = &x.inputs.x;
    for (letters, points, idx, grad_dists, grad) in [
        ("(N, P1)", sizes.p1, &x.idx_x, &x.grad_dists_x, &out.x),
        ("(N, P2)", sizes.p2, &x.idx_y, &x.grad_dists_y, &out.y),
    ] {
        let shape = [sizes.n, points].map(Some);
        argument(OPERATOR, "the indices", idx).dtype(DType::I64)?.shape(letters, &shape)?.beside("x", like)?;
        argument(OPERATOR, "the gradient of the distances", grad_dists)
            .dtype(like.dtype())?
            .shape(letters, &shape)?
            .beside("x", like)?;
        if let Some(grad) = grad {
            argument(OPERATOR, "a gradient", &grad.view())
                .dtype(like.dtype())?
                .shape("(N, P, D)", &[sizes.n, points, sizes.d].map(Some))?
                .beside("x", like)?;
        }
    }
    scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "x", like)?;
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("chamfer");

pub use cuda::{ChamferParams, ChamferSide};
