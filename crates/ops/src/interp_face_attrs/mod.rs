// SPDX-License-Identifier: Apache-2.0
//! Values at the corners of faces, mixed at the points that a rasterizer found.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/interp_face_attrs.py`. Page: `docs/ops/interp_face_attrs.md`.
//!
//! The slot with face f and weights b is `b0 a(f, 0) + b1 a(f, 1) + b2 a(f, 2)`, each operation rounded by itself, from
//! left to right; a slot without a face is 0 and has no gradient, whatever its weights are.

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "interpolate_face_attributes";

/// Slots, and what stands at the corners of faces.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The face of each slot, (N, H, W, K) int64; negative where there is none. One of F or more is an error on the CPU;
    /// on a GPU, where looking would wait for the device, its slot is empty.
    pub pix_to_face: Tensor<'a>,
    /// Weights of the three corners, (N, H, W, K, 3), float32 or float64.
    pub barycentric_coords: Tensor<'a>,
    /// Values at the corners, (F, 3, D), of the same dtype.
    pub face_attributes: Tensor<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs; a face outside of [0, F) marks an empty slot.
    pub inputs: Inputs<'a>,
    /// Gradient of the result, (N, H, W, K, D).
    pub grad: Tensor<'a>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of `barycentric_coords`, if it is asked for; 0 in empty slots.
    pub barycentric_coords: Option<TensorMut<'a>>,
    /// Gradient of `face_attributes`, if it is asked for; 0 for a face that is in no slot. On the CPU summands come in
    /// ascending order of slots. On a GPU sums are integers: the same bits in every order, and NaN where a summand is not
    /// finite.
    pub face_attributes: Option<TensorMut<'a>>,
    /// Bytes for the device, at least [`scratch_bytes`] of them; none are needed without a gradient of
    /// `face_attributes`.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// N, H, W, K.
    pub slots: [usize; 4],
    /// Faces.
    pub f: usize,
    /// Values at a corner.
    pub d: usize,
}

impl Sizes {
    /// The shape of the result.
    pub fn result(&self) -> [usize; 5] {
        self.by_slot(self.d)
    }

    fn by_slot(&self, last: usize) -> [usize; 5] {
        let [n, h, w, k] = self.slots;
        [n, h, w, k, last]
    }

    fn num_slots(&self) -> usize {
        self.slots.iter().product()
    }
}

/// Checks the forward's inputs; the one place that does, but for which faces stand in the slots.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    let slots = &x.pix_to_face;
    argument(OPERATOR, "pix_to_face", slots).dtype(DType::I64)?.shape("(N, H, W, K)", &[None; 4])?;
    let [n, h, w, k] = [0, 1, 2, 3].map(|axis| slots.shape()[axis]);
    let weights = [Some(n), Some(h), Some(w), Some(k), Some(3)];
    argument(OPERATOR, "barycentric_coords", &x.barycentric_coords)
        .real()?
        .shape("(N, H, W, K, 3)", &weights)?
        .beside("pix_to_face", slots)?;
    argument(OPERATOR, "face_attributes", &x.face_attributes)
        .dtype(x.barycentric_coords.dtype())?
        .shape("(F, 3, D)", &[None, Some(3), None])?
        .beside("pix_to_face", slots)?;
    let values = x.face_attributes.shape();
    Ok(Sizes { slots: [n, h, w, k], f: values[0], d: values[2] })
}

/// Checks what else than inputs is passed.
fn beside(x: &Inputs<'_>, name: &'static str, tensor: Tensor<'_>, letters: &str, shape: &[usize]) -> Result<()> {
    let sizes: Vec<_> = shape.iter().copied().map(Some).collect();
    argument(OPERATOR, name, &tensor)
        .dtype(x.barycentric_coords.dtype())?
        .shape(letters, &sizes)?
        .beside("pix_to_face", &x.pix_to_face)?;
    Ok(())
}

/// Mixes; the result is (N, H, W, K, D).
pub fn forward(x: &Inputs<'_>, out: &mut TensorMut<'_>) -> Result<()> {
    let sizes = check(x)?;
    beside(x, "the result", out.view(), "(N, H, W, K, D)", &sizes.result())?;
    match x.pix_to_face.device() {
        Device::Cpu { threads } => match x.barycentric_coords.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// Bytes of scratch that [`backward`] needs for the gradient of `face_attributes`.
pub fn scratch_bytes(x: &GradInputs<'_>) -> Result<usize> {
    let sizes = check(&x.inputs)?;
    Ok(match x.inputs.pix_to_face.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// The gradients of `sum(grad * result)`.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    beside(&x.inputs, "the gradient of the result", x.grad, "(N, H, W, K, D)", &sizes.result())?;
    if let Some(grad) = &out.barycentric_coords {
        let name = "the gradient of barycentric_coords";
        beside(&x.inputs, name, grad.view(), "(N, H, W, K, 3)", &sizes.by_slot(3))?;
    }
    if let Some(grad) = &out.face_attributes {
        beside(&x.inputs, "the gradient of face_attributes", grad.view(), "(F, 3, D)", &[sizes.f, 3, sizes.d])?;
        scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "pix_to_face", &x.inputs.pix_to_face)?;
    }
    match x.inputs.pix_to_face.device() {
        Device::Cpu { threads } => match x.inputs.barycentric_coords.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("interp_face_attrs");

pub use cuda::InterpFaceAttrsParams;
