// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::mesh_face_areas_normals::{self, GradInputs, Gradients, Inputs, Outputs};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "mesh_face_areas_normals";

/// `patina3d_ops::mesh_face_areas_normals::forward`: (areas, normals).
#[pyfunction]
pub(crate) fn mesh_face_areas_normals_forward<'py>(
    py: Python<'py>,
    verts: &Object<'py>,
    faces: &Object<'py>,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let call = Call::new(py, OPERATOR)?;
    let x = Inputs { verts: call.input("verts", verts)?, faces: call.input("faces", faces)? };
    let sizes = mesh_face_areas_normals::check(&x).map_err(to_python)?;
    let (areas, areas_out) = call.empty_like(verts, &[sizes.f])?;
    let (normals, normals_out) = call.empty_like(verts, &[sizes.f, 3])?;
    let mut out = Outputs { areas: areas_out, normals: normals_out };
    call.run(|| mesh_face_areas_normals::forward(&x, &mut out))?;
    Ok((areas, normals))
}

/// `patina3d_ops::mesh_face_areas_normals::backward`: the gradient of verts.
#[pyfunction]
pub(crate) fn mesh_face_areas_normals_backward<'py>(
    py: Python<'py>,
    verts: &Object<'py>,
    faces: &Object<'py>,
    grad_areas: Option<&Object<'py>>,
    grad_normals: Option<&Object<'py>>,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let x = GradInputs {
        inputs: Inputs { verts: call.input("verts", verts)?, faces: call.input("faces", faces)? },
        grad_areas: call.optional("the gradient of areas", grad_areas)?,
        grad_normals: call.optional("the gradient of normals", grad_normals)?,
    };
    let bytes = mesh_face_areas_normals::scratch_bytes(&x).map_err(to_python)?;
    let (grad_verts, verts_out) = call.empty_like(verts, x.inputs.verts.shape())?;
    let (_scratch, scratch) = call.scratch(verts, bytes)?;
    let mut out = Gradients { verts: verts_out, scratch };
    call.run(|| mesh_face_areas_normals::backward(&x, &mut out))?;
    Ok(grad_verts)
}
