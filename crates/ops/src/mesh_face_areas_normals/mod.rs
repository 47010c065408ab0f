// SPDX-License-Identifier: Apache-2.0
//! Area and unit normal of each triangle of a mesh.
//!
//! Definition: `packages/structures/src/patina3d/structures/_reference/mesh_face_areas_normals.py`. Page:
//! `docs/ops/mesh_face_areas_normals.md`.
//!
//! [`patina3d_core::triangle`] says how both are computed; a face whose cross product is within rounding of zero has
//! normal 0. Every operation is written out and rounds by itself, so CPU and CUDA have the same bits.

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::{DType, Device, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "mesh_face_areas_normals";

/// A packed mesh.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Positions, (V, 3), float32 or float64.
    pub verts: Tensor<'a>,
    /// Corners, (F, 3) int64 in [0, V). An index out of range is an error on the CPU; on a GPU, where looking would wait for
    /// the device, its face has area 0, normal 0 and no gradient.
    pub faces: Tensor<'a>,
}

/// What is computed of each face.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// (F,), of the dtype of the vertices.
    pub areas: TensorMut<'a>,
    /// (F, 3).
    pub normals: TensorMut<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs.
    pub inputs: Inputs<'a>,
    /// Gradient of the areas, (F,); absent means 0.
    pub grad_areas: Option<Tensor<'a>>,
    /// Gradient of the normals, (F, 3); absent means 0.
    pub grad_normals: Option<Tensor<'a>>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of the vertices, (V, 3).
    pub verts: TensorMut<'a>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Vertices.
    pub v: usize,
    /// Faces.
    pub f: usize,
}

/// Checks the forward's inputs; the one place that does, but for what stands in the faces.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    argument(OPERATOR, "verts", &x.verts).real()?.shape("(V, 3)", &[None, Some(3)])?;
    argument(OPERATOR, "faces", &x.faces)
        .dtype(DType::I64)?
        .shape("(F, 3)", &[None, Some(3)])?
        .beside("verts", &x.verts)?;
    Ok(Sizes { v: x.verts.shape()[0], f: x.faces.shape()[0] })
}

/// Computes areas and normals.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    for (name, out, axes) in
        [("areas", &out.areas, &[Some(sizes.f)][..]), ("normals", &out.normals, &[Some(sizes.f), Some(3)])]
    {
        argument(OPERATOR, name, &out.view())
            .dtype(x.verts.dtype())?
            .shape("(F, ...)", axes)?
            .beside("verts", &x.verts)?;
    }
    match x.verts.device() {
        Device::Cpu { threads } => match x.verts.dtype() {
            DType::F64 => cpu::forward::<f64>(x, threads, out),
            _ => cpu::forward::<f32>(x, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// Bytes of scratch that [`backward`] needs.
pub fn scratch_bytes(x: &GradInputs<'_>) -> Result<usize> {
    let sizes = check(&x.inputs)?;
    Ok(match x.inputs.verts.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// The gradient of `sum(grad_areas * areas) + sum(grad_normals * normals)`, summands in ascending order of (face, corner).
/// That of the area of a face with c = 0 and of the normal of a degenerate face is 0.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    let like = &x.inputs.verts;
    let incoming = [
        ("the gradient of areas", &x.grad_areas, &[Some(sizes.f)][..]),
        ("the gradient of normals", &x.grad_normals, &[Some(sizes.f), Some(3)]),
    ];
    for (name, grad, axes) in incoming {
        if let Some(grad) = grad {
            argument(OPERATOR, name, grad).dtype(like.dtype())?.shape("(F, ...)", axes)?.beside("verts", like)?;
        }
    }
    argument(OPERATOR, "the gradient of verts", &out.verts.view())
        .dtype(like.dtype())?
        .shape("(V, 3)", &[Some(sizes.v), Some(3)])?
        .beside("verts", like)?;
    scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "verts", like)?;
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("mesh_face_areas_normals");

pub use cuda::MeshFaceAreasNormalsParams;
