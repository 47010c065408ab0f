// SPDX-License-Identifier: Apache-2.0
//! Soft blending: from the K slots of a pixel to one colour and an alpha.
//!
//! Definition: `packages/renderer/src/patina3d/renderer/_reference/blending.py`. Page: `docs/renderer/blending.md`.
//!
//! # What is computed
//! For the slots k of a pixel that hold a face, with e = `least` and the rest as in [`Inputs`]:
//!
//! - coverage `p = sigmoid(-dist / sigma)`, closeness `c = (zfar - z) / (zfar - znear)`, `m = max(c.., e)`;
//! - weights `w = p exp((c - m) / gamma)`, that of the background `b = max(exp((e - m) / gamma), e)`, and `t = sum w + b`;
//! - `rgb = (sum w color + b background) / t` and `alpha = 1 - prod (1 - p)`.
//!
//! Empty slots have no part in this, whatever they hold. p and 1 - p come of one exponential that never overflows, each
//! exact relative to itself. Without channels (C = 0) only alpha is computed.
//!
//! # Gradient
//! With G and g the gradients of rgb and alpha, and `s = w / t G . (color - rgb)`, the gradient of log w:
//!
//! - of a colour `w / t G`, of the background `b / t G`;
//! - of a distance `-(p g prod (1 - p) + (1 - p) s) / sigma`;
//! - of a depth `-s / (gamma (zfar - znear))`. The shift m cancels between all weights, but where b is at its least value:
//!   there the first slot with c = m adds `b / t G . (background - rgb)` to its s.
//!
//! Nothing divides by a coverage, so gradients are finite wherever colours, distances and depths are. `sigma` and `gamma`
//! count as no less than the least normal number of the dtype.

mod cpu;
mod cuda;

use patina3d_core::check::argument;
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "softmax_rgb_blend";

/// The numbers of the formulas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Width of a face's border, a squared distance; positive.
    pub sigma: f64,
    /// How strongly the nearest face wins; positive.
    pub gamma: f64,
    /// e: the closeness of the background, and the least weight that it has.
    pub least: f64,
}

/// What stands in the slots, and behind them.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// (N, H, W, K, C), float32 or float64.
    pub colors: Tensor<'a>,
    /// Signed squared distances, (N, H, W, K), of the same dtype, as what follows.
    pub dists: Tensor<'a>,
    /// Depths, (N, H, W, K); not read without channels.
    pub zbuf: Tensor<'a>,
    /// The face of each slot, (N, H, W, K) int64; negative where there is none.
    pub pix_to_face: Tensor<'a>,
    /// (1, C), or (N H W, C).
    pub background: Tensor<'a>,
    /// Depth at which closeness is 1, (1,) or (N,).
    pub znear: Tensor<'a>,
    /// Depth at which closeness is 0, (1,) or (N,).
    pub zfar: Tensor<'a>,
    /// The rest.
    pub settings: Settings,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs.
    pub inputs: Inputs<'a>,
    /// The forward's result, (N, H, W, C + 1).
    pub image: Tensor<'a>,
    /// Its gradient.
    pub grad_image: Tensor<'a>,
}

/// What the backward pass writes: what is asked for, of the shapes of the inputs.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of `colors`; 0 in empty slots, as for the next two.
    pub colors: Option<TensorMut<'a>>,
    /// Of `dists`.
    pub dists: Option<TensorMut<'a>>,
    /// Of `zbuf`.
    pub zbuf: Option<TensorMut<'a>>,
    /// Of the background of each pixel, (N H W, C).
    pub background: Option<TensorMut<'a>>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// N, H, W.
    pub pixels: [usize; 3],
    /// Slots of a pixel.
    pub k: usize,
    /// Channels.
    pub c: usize,
}

impl Sizes {
    /// The shape of the result.
    pub fn image(&self) -> [usize; 4] {
        let [n, h, w] = self.pixels;
        [n, h, w, self.c + 1]
    }

    /// N H W.
    pub fn num_pixels(&self) -> usize {
        self.pixels.iter().product()
    }

    fn slots(&self) -> [usize; 4] {
        let [n, h, w] = self.pixels;
        [n, h, w, self.k]
    }
}

/// Checks the forward's inputs; the one place that does.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    let colors = &x.colors;
    argument(OPERATOR, "colors", colors).real()?.shape("(N, H, W, K, C)", &[None; 5])?;
    let [n, h, w, k, c] = [0, 1, 2, 3, 4].map(|axis| colors.shape()[axis]);
    let sizes = Sizes { pixels: [n, h, w], k, c };
    let slots = sizes.slots().map(Some);
    argument(OPERATOR, "pix_to_face", &x.pix_to_face)
        .dtype(DType::I64)?
        .shape("(N, H, W, K)", &slots)?
        .beside("colors", colors)?;
    beside(x, "dists", x.dists, "(N, H, W, K)", &slots)?;
    beside(x, "zbuf", x.zbuf, "(N, H, W, K)", &slots)?;
    one_or(x, "background", x.background, sizes.num_pixels(), &[Some(c)])?;
    one_or(x, "znear", x.znear, n, &[])?;
    one_or(x, "zfar", x.zfar, n, &[])?;
    for (name, value) in [("sigma", x.settings.sigma), ("gamma", x.settings.gamma)] {
        if value.is_nan() || value <= 0.0 {
            return Err(Error::value(OPERATOR, name, "positive", value.to_string()));
        }
    }
    Ok(sizes)
}

fn beside(
    x: &Inputs<'_>,
    name: &'static str,
    tensor: Tensor<'_>,
    letters: &str,
    shape: &[Option<usize>],
) -> Result<()> {
    argument(OPERATOR, name, &tensor).dtype(x.colors.dtype())?.shape(letters, shape)?.beside("colors", &x.colors)?;
    Ok(())
}

/// Checks a tensor with one row or this many.
fn one_or(x: &Inputs<'_>, name: &'static str, tensor: Tensor<'_>, rows: usize, row: &[Option<usize>]) -> Result<()> {
    let rows = if tensor.shape().first() == Some(&1) { 1 } else { rows };
    beside(x, name, tensor, "with one row, or one for each", &[&[Some(rows)], row].concat())
}

/// Blends; the result is (N, H, W, C + 1), colour and alpha.
pub fn forward(x: &Inputs<'_>, out: &mut TensorMut<'_>) -> Result<()> {
    let sizes = check(x)?;
    beside(x, "the result", out.view(), "(N, H, W, C + 1)", &sizes.image().map(Some))?;
    match x.colors.device() {
        Device::Cpu { threads } => match x.colors.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// The gradients of `sum(grad_image * image)`.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    let (image, slots) = (sizes.image().map(Some), sizes.slots().map(Some));
    beside(&x.inputs, "the image", x.image, "(N, H, W, C + 1)", &image)?;
    beside(&x.inputs, "the gradient of the image", x.grad_image, "(N, H, W, C + 1)", &image)?;
    let colors: Vec<_> = x.inputs.colors.shape().iter().copied().map(Some).collect();
    let background = [sizes.num_pixels(), sizes.c].map(Some);
    for (name, letters, grad, shape) in [
        ("the gradient of colors", "(N, H, W, K, C)", &out.colors, &colors[..]),
        ("the gradient of dists", "(N, H, W, K)", &out.dists, &slots),
        ("the gradient of zbuf", "(N, H, W, K)", &out.zbuf, &slots),
        ("the gradient of background", "(N H W, C)", &out.background, &background),
    ] {
        if let Some(grad) = grad {
            beside(&x.inputs, name, grad.view(), letters, shape)?;
        }
    }
    match x.inputs.colors.device() {
        Device::Cpu { threads } => match x.inputs.colors.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("blending");

pub use cuda::BlendingParams;
