// SPDX-License-Identifier: Apache-2.0
//! The square of every number of a tensor.
//!
//! Definition: `__reference__`. Page: `docs/__package__/__op__.md`.

mod cpu;
mod cuda;

use patina3d_core::check::argument;
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "__op__";

/// What goes in.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Numbers, (N, D), float32 or float64.
    pub x: Tensor<'a>,
}

/// What comes out.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Their squares, (N, D), of the same dtype.
    pub y: TensorMut<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs.
    pub inputs: Inputs<'a>,
    /// Gradient of `y`, (N, D).
    pub grad_y: Tensor<'a>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of `x`, (N, D).
    pub x: TensorMut<'a>,
}

/// Checks the forward's inputs; the one place that does. Returns the shape of `y`.
pub fn check(x: &Inputs<'_>) -> Result<[usize; 2]> {
    argument(OPERATOR, "x", &x.x).real()?.shape("(N, D)", &[None, None])?;
    let shape = [x.x.shape()[0], x.x.shape()[1]];
    if shape.iter().product::<usize>() > isize::MAX as usize / 8 {
        return Err(Error::value(OPERATOR, "x", "so small that it can be addressed", format!("{shape:?}")));
    }
    Ok(shape)
}

/// Squares.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let shape = check(x)?;
    argument(OPERATOR, "y", &out.y.view()).dtype(x.x.dtype())?.shape("(N, D)", &shape.map(Some))?.beside("x", &x.x)?;
    match x.x.device() {
        Device::Cpu { threads } => match x.x.dtype() {
            DType::F64 => cpu::forward::<f64>(x, threads, out),
            _ => cpu::forward::<f32>(x, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, out),
    }
}

/// The gradient of `sum(grad_y * y)`.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let shape = check(&x.inputs)?.map(Some);
    let like = &x.inputs.x;
    argument(OPERATOR, "the gradient of y", &x.grad_y).dtype(like.dtype())?.shape("(N, D)", &shape)?.beside("x", like)?;
    argument(OPERATOR, "the gradient of x", &out.x.view()).dtype(like.dtype())?.shape("(N, D)", &shape)?.beside("x", like)?;
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::backward::<f64>(x, threads, out),
            _ => cpu::backward::<f32>(x, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("__op__");

pub use cuda::__Op__Params;
