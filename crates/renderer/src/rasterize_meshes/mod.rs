// SPDX-License-Identifier: Apache-2.0
//! Mesh rasterization: for each pixel, the K nearest faces that cover it or come closer to it than the blur radius.
//!
//! Definition: `packages/renderer/src/patina3d/renderer/_reference/rasterize_meshes.py`.
//! Page: `docs/renderer/rasterize_meshes.md`.
//!
//! # What is computed
//! Every number is computed in the dtype of the faces, every operation rounded by itself (no fused multiply-add) and in
//! the order written here, on every device: coverage and order then agree to the bit. The functions of two dimensions are
//! those of [`patina3d_core::geometry`]; `eps` is 1e-8.
//!
//! **Pixel.** Row y, column x of an H x W image has its centre at `p = (ndc(W - 1 - x, W, H), ndc(H - 1 - y, H, W))`
//! with `ndc(i, S1, S2) = -o + (r i + o) / S1`, `r = S1 * 2 / S2` if S1 > S2 else 2, `o = r / 2`: `pixel_center`.
//!
//! **Face.** With `A = edge_function(v0, v1, v2)`, a face is drawn only if eps < |A| < infinity, if its depths and the
//! squared lengths `dx dx + dy dy` of its edges are finite, if min z >= eps, and unless backfaces are culled and A < 0. An
//! x or y that is not finite makes a squared length so; finite squared lengths bound every area of the face. With
//! `s = sqrt(blur_radius)` it reaches the pixels of the closed box `min x - s <= p.x <= max x + s`, the same for y.
//!
//! **Hit.** At such a pixel:
//! 1. `w = barycentric_coordinates(p, v0, v1, v2)`; `u = perspective_correct(w, z0, z1, z2)`, or w without the
//!    correction; `c = clip_barycentric(u)`, or u without clipping.
//! 2. `z = c0 z0 + c1 z1 + c2 z2`; `d = point_triangle_dist2(p, v0, v1, v2)`; inside = u0 > 0 and u1 > 0 and u2 > 0.
//! 3. The face hits if 0 <= z < infinity, d < infinity, and it is inside or `d < blur_radius`.
//!
//! **Halves.** A face that hits yields, and does not count, if it has a neighbour which hits at the same pixel and
//! beats it: an inside one beats one that is not; else the smaller d; else the lower index. The rule looks at these two
//! faces alone, before the cut to K.
//!
//! **Result.** Of the faces that count, the K first by (z, face index), ascending.
//!
//! # Gradient
//! `z`, `c` and `d` are functions of the nine numbers of the face, with p, the face, `inside` and the nearest segment
//! held fixed. The `_backward` of each function is its exact derivative, a clamped denominator counting as a constant;
//! at degenerate triangles it is zero. So the gradient of a fragment is finite where its incoming gradients are. Where one
//! is infinite or NaN, or a sum leaves the range of the dtype, those components of the face's gradient that it enters are
//! not finite: infinite or NaN on the CPU, NaN on a GPU, whose sums are integers. Other faces have what they would have
//! without it.

mod cpu;
mod cuda;

use patina3d_core::check::{Argument, argument, scratch};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

const OPERATOR: &str = "rasterize_meshes";

/// What turns faces into hits, apart from the faces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Rows and columns of the image, (H, W).
    pub image_size: [usize; 2],
    /// A squared distance in NDC: how near a face must come to a pixel that it does not cover. Not negative, not NaN;
    /// rounded to the dtype of the faces.
    pub blur_radius: f64,
    /// K, any number.
    pub faces_per_pixel: usize,
    /// Whether barycentrics are those of the triangle in space rather than of its image.
    pub perspective_correct: bool,
    /// Whether barycentrics of pixels outside a face are moved to its border.
    pub clip_barycentric_coords: bool,
    /// Whether faces with negative area are dropped.
    pub cull_backfaces: bool,
}

/// A size or count from a signed number.
pub fn size(name: &'static str, number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::value(OPERATOR, name, "at least 0", number.to_string()))
}

/// A batch of meshes as packed faces.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Face vertices, (F, 3, 3), float32 or float64: x and y in NDC, z the depth.
    pub face_verts: Tensor<'a>,
    /// The first face of each mesh, (N,) int64. The range of a mesh is clamped to [0, F].
    pub mesh_to_face_first_idx: Tensor<'a>,
    /// The number of faces of each mesh, (N,) int64.
    pub num_faces_per_mesh: Tensor<'a>,
    /// The other half of a quad that clipping left, (F,) int64; a number outside [0, F) means none. Absent: no face has
    /// one.
    pub clipped_faces_neighbor_idx: Option<Tensor<'a>>,
    /// The rest.
    pub settings: Settings,
}

/// The fragments. Unused slots are -1 in all four; each slot is written once.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The face, an index into the packed faces of the whole batch, (N, H, W, K) int64.
    pub pix_to_face: TensorMut<'a>,
    /// z, (N, H, W, K), ascending; never the negative zero.
    pub zbuf: TensorMut<'a>,
    /// c, (N, H, W, K, 3).
    pub bary_coords: TensorMut<'a>,
    /// -d inside the face, d outside, (N, H, W, K).
    pub dists: TensorMut<'a>,
    /// Bytes for the device, at least [`forward_scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs. Which faces hit is not decided again: `blur_radius`, `cull_backfaces` and the neighbours
    /// have no say here.
    pub inputs: Inputs<'a>,
    /// The forward's `pix_to_face`; a number outside [0, F) marks an unused slot, whose gradients are not read.
    pub pix_to_face: Tensor<'a>,
    /// Gradient of `zbuf`; absent means zero, as for the other two.
    pub grad_zbuf: Option<Tensor<'a>>,
    /// Gradient of `bary_coords`.
    pub grad_bary_coords: Option<Tensor<'a>>,
    /// Gradient of `dists`.
    pub grad_dists: Option<Tensor<'a>>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of `face_verts`, (F, 3, 3); zero for a face that is in no slot. The order of summation depends on the
    /// sizes and on `pix_to_face` alone: the same call gives the same bits.
    pub face_verts: TensorMut<'a>,
    /// Bytes for the device, at least [`backward_scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Meshes, each an image.
    pub n: usize,
    /// Packed faces of the batch.
    pub f: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Faces to keep a pixel.
    pub k: usize,
}

impl Sizes {
    /// The shape of `pix_to_face`, `zbuf` and `dists`.
    pub fn slots(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.k]
    }

    /// The shape of `bary_coords`.
    pub fn slots_by_corner(&self) -> [usize; 5] {
        [self.n, self.h, self.w, self.k, 3]
    }

    /// The number of slots.
    pub fn num_slots(&self) -> usize {
        self.slots().iter().product()
    }
}

/// Checks the forward's inputs; the one place that does.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    let faces = &x.face_verts;
    argument(OPERATOR, "face_verts", faces).real()?.shape("(F, 3, 3)", &[None, Some(3), Some(3)])?;
    let f = faces.shape()[0];
    if f >= u32::MAX as usize {
        return Err(Error::value(OPERATOR, "face_verts", "of fewer than 2^32 - 1 faces", f.to_string()));
    }
    let index = |name, tensor, letters, size| -> Result<Argument<'_, '_>> {
        argument(OPERATOR, name, tensor).dtype(DType::I64)?.shape(letters, &[size])?.beside("face_verts", faces)
    };
    index("mesh_to_face_first_idx", &x.mesh_to_face_first_idx, "(N,)", None)?;
    let n = x.mesh_to_face_first_idx.shape()[0];
    index("num_faces_per_mesh", &x.num_faces_per_mesh, "(N,)", Some(n))?;
    if let Some(neighbor) = &x.clipped_faces_neighbor_idx {
        index("clipped_faces_neighbor_idx", neighbor, "(F,)", Some(f))?;
    }
    let Settings { image_size: [h, w], blur_radius, faces_per_pixel: k, .. } = x.settings;
    if blur_radius.is_nan() || blur_radius < 0.0 {
        return Err(Error::value(OPERATOR, "blur_radius", "at least 0", blur_radius.to_string()));
    }
    let bary_bytes = [h, w, k, 3, 8].iter().try_fold(n, |product, &size| product.checked_mul(size));
    if bary_bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
        let got = format!("{n} images of {h} x {w} pixels with {k} faces each");
        return Err(Error::value(OPERATOR, "image_size", "so small that the result can be addressed", got));
    }
    Ok(Sizes { n, f, h, w, k })
}

/// Checks what else than inputs is passed, beside `face_verts`.
fn tensor(
    name: &'static str,
    tensor: Tensor<'_>,
    dtype: DType,
    (letters, sizes): (&str, &[Option<usize>]),
    face_verts: &Tensor<'_>,
) -> Result<()> {
    argument(OPERATOR, name, &tensor).dtype(dtype)?.shape(letters, sizes)?.beside("face_verts", face_verts)?;
    Ok(())
}

/// Bytes of scratch that [`forward`] needs.
pub fn forward_scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    let sizes = check(x)?;
    Ok(match x.face_verts.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::forward_scratch_bytes(x, sizes),
    })
}

/// Rasterizes.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    let like = &x.face_verts;
    let (slots, corners) = (sizes.slots().map(Some), sizes.slots_by_corner().map(Some));
    tensor("pix_to_face", out.pix_to_face.view(), DType::I64, ("(N, H, W, K)", &slots), like)?;
    tensor("zbuf", out.zbuf.view(), like.dtype(), ("(N, H, W, K)", &slots), like)?;
    tensor("bary_coords", out.bary_coords.view(), like.dtype(), ("(N, H, W, K, 3)", &corners), like)?;
    tensor("dists", out.dists.view(), like.dtype(), ("(N, H, W, K)", &slots), like)?;
    scratch(OPERATOR, &out.scratch, forward_scratch_bytes(x)?, "face_verts", like)?;
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, sizes, out),
    }
}

/// Bytes of scratch that [`backward`] needs.
pub fn backward_scratch_bytes(x: &GradInputs<'_>) -> Result<usize> {
    let sizes = check(&x.inputs)?;
    Ok(match x.inputs.face_verts.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::backward_scratch_bytes(x, sizes),
    })
}

/// The gradient of `sum(grad_zbuf * zbuf) + sum(grad_bary_coords * bary_coords) + sum(grad_dists * dists)`.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    let like = &x.inputs.face_verts;
    let (slots, corners) = (sizes.slots().map(Some), sizes.slots_by_corner().map(Some));
    tensor("pix_to_face", x.pix_to_face, DType::I64, ("(N, H, W, K)", &slots), like)?;
    let gradient = |name, grad: Option<Tensor<'_>>, shape| {
        grad.map_or(Ok(()), |grad| tensor(name, grad, like.dtype(), shape, like))
    };
    gradient("the gradient of zbuf", x.grad_zbuf, ("(N, H, W, K)", &slots))?;
    gradient("the gradient of bary_coords", x.grad_bary_coords, ("(N, H, W, K, 3)", &corners))?;
    gradient("the gradient of dists", x.grad_dists, ("(N, H, W, K)", &slots))?;
    let faces = [sizes.f, 3, 3].map(Some);
    tensor("the gradient of face_verts", out.face_verts.view(), like.dtype(), ("(F, 3, 3)", &faces), like)?;
    scratch(OPERATOR, &out.scratch, backward_scratch_bytes(x)?, "face_verts", like)?;
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("rasterize_meshes");

pub use cuda::RasterizeMeshesParams;
