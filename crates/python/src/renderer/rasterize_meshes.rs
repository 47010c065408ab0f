// SPDX-License-Identifier: Apache-2.0
use patina3d_renderer::rasterize_meshes::{self, GradInputs, Gradients, Inputs, Outputs, Settings, size};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "rasterize_meshes";

/// `patina3d_renderer::rasterize_meshes::forward`: (`pix_to_face`, `zbuf`, `bary_coords`, `dists`).
#[pyfunction]
pub(crate) fn rasterize_meshes_forward<'py>(
    py: Python<'py>,
    face_verts: &Object<'py>,
    mesh_to_face_first_idx: &Object<'py>,
    num_faces_per_mesh: &Object<'py>,
    clipped_faces_neighbor_idx: Option<&Object<'py>>,
    image_height: i64,
    image_width: i64,
    blur_radius: f64,
    faces_per_pixel: i64,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    cull_backfaces: bool,
) -> PyResult<(Object<'py>, Object<'py>, Object<'py>, Object<'py>)> {
    let call = Call::new(py, OPERATOR)?;
    let size = |name, number| size(name, number).map_err(to_python);
    let x = Inputs {
        face_verts: call.input("face_verts", face_verts)?,
        mesh_to_face_first_idx: call.input("mesh_to_face_first_idx", mesh_to_face_first_idx)?,
        num_faces_per_mesh: call.input("num_faces_per_mesh", num_faces_per_mesh)?,
        clipped_faces_neighbor_idx: call.optional("clipped_faces_neighbor_idx", clipped_faces_neighbor_idx)?,
        settings: Settings {
            image_size: [size("image_size", image_height)?, size("image_size", image_width)?],
            blur_radius,
            faces_per_pixel: size("faces_per_pixel", faces_per_pixel)?,
            perspective_correct,
            clip_barycentric_coords,
            cull_backfaces,
        },
    };
    let sizes = rasterize_meshes::check(&x).map_err(to_python)?;
    let bytes = rasterize_meshes::forward_scratch_bytes(&x).map_err(to_python)?;
    let (pix_to_face, pix_to_face_out) = call.empty_index(face_verts, &sizes.slots())?;
    let (zbuf, zbuf_out) = call.empty_like(face_verts, &sizes.slots())?;
    let (bary_coords, bary_coords_out) = call.empty_like(face_verts, &sizes.slots_by_corner())?;
    let (dists, dists_out) = call.empty_like(face_verts, &sizes.slots())?;
    let (_scratch, scratch) = call.scratch(face_verts, bytes)?;
    let mut out = Outputs {
        pix_to_face: pix_to_face_out,
        zbuf: zbuf_out,
        bary_coords: bary_coords_out,
        dists: dists_out,
        scratch,
    };
    call.run(|| rasterize_meshes::forward(&x, &mut out))?;
    Ok((pix_to_face, zbuf, bary_coords, dists))
}

/// `patina3d_renderer::rasterize_meshes::backward`: the gradient of `face_verts`.
#[pyfunction]
pub(crate) fn rasterize_meshes_backward<'py>(
    py: Python<'py>,
    face_verts: &Object<'py>,
    mesh_to_face_first_idx: &Object<'py>,
    num_faces_per_mesh: &Object<'py>,
    pix_to_face: &Object<'py>,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    grad_zbuf: Option<&Object<'py>>,
    grad_bary_coords: Option<&Object<'py>>,
    grad_dists: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let pix_to_face = call.input("pix_to_face", pix_to_face)?;
    let of_axis = |axis: usize| pix_to_face.shape().get(axis).copied().unwrap_or(0);
    let inputs = Inputs {
        face_verts: call.input("face_verts", face_verts)?,
        mesh_to_face_first_idx: call.input("mesh_to_face_first_idx", mesh_to_face_first_idx)?,
        num_faces_per_mesh: call.input("num_faces_per_mesh", num_faces_per_mesh)?,
        clipped_faces_neighbor_idx: None,
        settings: Settings {
            image_size: [of_axis(1), of_axis(2)],
            blur_radius: 0.0,
            faces_per_pixel: of_axis(3),
            perspective_correct,
            clip_barycentric_coords,
            cull_backfaces: false,
        },
    };
    let x = GradInputs {
        inputs,
        pix_to_face,
        grad_zbuf: call.optional("the gradient of zbuf", grad_zbuf)?,
        grad_bary_coords: call.optional("the gradient of bary_coords", grad_bary_coords)?,
        grad_dists: call.optional("the gradient of dists", grad_dists)?,
    };
    let bytes = rasterize_meshes::backward_scratch_bytes(&x).map_err(to_python)?;
    let (grad, grad_out) = call.empty_like(face_verts, x.inputs.face_verts.shape())?;
    let (_scratch, scratch) = call.scratch(face_verts, bytes)?;
    let mut out = Gradients { face_verts: grad_out, scratch };
    call.run(|| rasterize_meshes::backward(&x, &mut out))?;
    Ok(grad)
}
