// SPDX-License-Identifier: Apache-2.0
//! Points on the faces of meshes, uniform by area.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/sample_points_from_meshes.py`. Page:
//! `docs/ops/sample_points_from_meshes.md`.
//!
//! A face's chance is a whole number, its area in units of the mesh's greatest one over a power of two: [`draw`] says how.
//! So the sums of chances are exact in every order, and sample s of mesh n is a function of the seed, of (n, s) and of the
//! mesh: neither the number of samples nor the rest of the batch matters, and CPU and CUDA have the same bits.

mod cpu;
mod cuda;
pub mod draw;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "sample_points_from_meshes";

/// Packed meshes, and how to draw.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Positions, (V, 3), float32 or float64.
    pub verts: Tensor<'a>,
    /// Corners, (F, 3) int64 in [0, V). An index out of range is an error on the CPU; on a GPU, where looking would wait for
    /// the device, its face is never drawn.
    pub faces: Tensor<'a>,
    /// Where the faces of each mesh begin, (N,) int64, ascending, in [0, F]; each mesh ends where the next one begins.
    pub first_idxs: Tensor<'a>,
    /// Which random numbers to use, (1,) int64, read on the device.
    pub seed: Tensor<'a>,
    /// S, samples a mesh.
    pub num_samples: usize,
}

/// What is drawn.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// `w0 v0 + w1 v1 + w2 v2`, each operation rounded by itself, from left to right: (N, S, 3), of the dtype of the
    /// vertices; 0 for a mesh without faces.
    pub points: TensorMut<'a>,
    /// The packed face of each, (N, S) int64; -1 for a mesh without faces.
    pub faces: TensorMut<'a>,
    /// Weights of its three corners, (N, S, 3); 0 for a mesh without faces.
    pub weights: TensorMut<'a>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// Corners, (F, 3) int64.
    pub faces: Tensor<'a>,
    /// [`Outputs::faces`]; a number outside of [0, F) marks a sample without a face.
    pub sampled_faces: Tensor<'a>,
    /// [`Outputs::weights`].
    pub weights: Tensor<'a>,
    /// Gradient of the points, (N, S, 3).
    pub grad_points: Tensor<'a>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of the vertices, (V, 3). On the CPU summands come in ascending order of samples. On a GPU sums are integers:
    /// the same bits in every order, and NaN where a summand is not finite.
    pub verts: TensorMut<'a>,
    /// Bytes for the device, at least [`backward_scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Vertices.
    pub v: usize,
    /// Faces.
    pub f: usize,
    /// Meshes.
    pub n: usize,
    /// Samples of a mesh.
    pub s: usize,
}

impl Sizes {
    fn samples(&self) -> usize {
        self.n * self.s
    }
}

/// The number of samples from a signed number.
pub fn num_samples(number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::value(OPERATOR, "num_samples", "at least 0", number.to_string()))
}

/// Checks the forward's inputs; the one place that does, but for what stands in the index tensors.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    argument(OPERATOR, "verts", &x.verts).real()?.shape("(V, 3)", &[None, Some(3)])?;
    let index = |name, tensor, letters, sizes: &[Option<usize>]| {
        argument(OPERATOR, name, tensor).dtype(DType::I64)?.shape(letters, sizes)?.beside("verts", &x.verts)
    };
    index("faces", &x.faces, "(F, 3)", &[None, Some(3)])?;
    index("first_idxs", &x.first_idxs, "(N,)", &[None])?;
    index("seed", &x.seed, "(1,)", &[Some(1)])?;
    let (n, s) = (x.first_idxs.numel(), x.num_samples);
    if n.checked_mul(s).is_none_or(|samples| samples > isize::MAX as usize / (3 * size_of::<f64>())) {
        let expected = "so small that the result can be addressed";
        return Err(Error::value(OPERATOR, "num_samples", expected, s.to_string()));
    }
    Ok(Sizes { v: x.verts.shape()[0], f: x.faces.shape()[0], n, s })
}

/// Bytes of scratch that [`forward`] needs.
pub fn scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    let sizes = check(x)?;
    Ok(match x.verts.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// Draws.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    let (n, s) = (Some(sizes.n), Some(sizes.s));
    let real = x.verts.dtype();
    for (name, tensor, dtype, letters, axes) in [
        ("the points", &out.points, real, "(N, S, 3)", &[n, s, Some(3)][..]),
        ("the sampled faces", &out.faces, DType::I64, "(N, S)", &[n, s]),
        ("the weights", &out.weights, real, "(N, S, 3)", &[n, s, Some(3)]),
    ] {
        argument(OPERATOR, name, &tensor.view()).dtype(dtype)?.shape(letters, axes)?.beside("verts", &x.verts)?;
    }
    scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "verts", &x.verts)?;
    match x.verts.device() {
        Device::Cpu { threads } => match real {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// Checks the backward's inputs; `v` is the number of vertices.
fn check_backward(x: &GradInputs<'_>, v: usize) -> Result<Sizes> {
    argument(OPERATOR, "faces", &x.faces).dtype(DType::I64)?.shape("(F, 3)", &[None, Some(3)])?;
    argument(OPERATOR, "the sampled faces", &x.sampled_faces)
        .dtype(DType::I64)?
        .shape("(N, S)", &[None, None])?
        .beside("faces", &x.faces)?;
    let (n, s) = (x.sampled_faces.shape()[0], x.sampled_faces.shape()[1]);
    argument(OPERATOR, "the weights", &x.weights).real()?;
    for (name, tensor) in [("the weights", &x.weights), ("the gradient of the points", &x.grad_points)] {
        argument(OPERATOR, name, tensor)
            .dtype(x.weights.dtype())?
            .shape("(N, S, 3)", &[Some(n), Some(s), Some(3)])?
            .beside("faces", &x.faces)?;
    }
    Ok(Sizes { v, f: x.faces.shape()[0], n, s })
}

/// Bytes of scratch that [`backward`] needs for `num_verts` vertices.
pub fn backward_scratch_bytes(x: &GradInputs<'_>, num_verts: usize) -> Result<usize> {
    let sizes = check_backward(x, num_verts)?;
    Ok(match x.faces.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::backward_scratch_bytes(sizes),
    })
}

/// The gradient of `sum(grad_points * points)` while faces and weights stay: each corner gets its weight of the point's.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let verts = out.verts.view();
    argument(OPERATOR, "the gradient of verts", &verts)
        .dtype(x.weights.dtype())?
        .shape("(V, 3)", &[None, Some(3)])?
        .beside("faces", &x.faces)?;
    let sizes = check_backward(x, verts.shape()[0])?;
    scratch(OPERATOR, &out.scratch, backward_scratch_bytes(x, sizes.v)?, "faces", &x.faces)?;
    match x.faces.device() {
        Device::Cpu { threads } => match x.weights.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("sample_points_from_meshes");

pub use cuda::SamplePointsFromMeshesParams;
