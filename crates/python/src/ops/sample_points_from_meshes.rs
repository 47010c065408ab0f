// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::sample_points_from_meshes::{self as sampling, GradInputs, Gradients, Inputs, Outputs};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "sample_points_from_meshes";

/// `patina3d_ops::sample_points_from_meshes::forward`: (points, faces, weights).
#[pyfunction]
pub(crate) fn sample_points_from_meshes_forward<'py>(
    py: Python<'py>,
    verts: &Object<'py>,
    faces: &Object<'py>,
    first_idxs: &Object<'py>,
    seed: &Object<'py>,
    num_samples: i64,
) -> PyResult<(Object<'py>, Object<'py>, Object<'py>)> {
    let call = Call::new(py, OPERATOR)?;
    let x = Inputs {
        verts: call.input("verts", verts)?,
        faces: call.input("faces", faces)?,
        first_idxs: call.input("first_idxs", first_idxs)?,
        seed: call.input("seed", seed)?,
        num_samples: sampling::num_samples(num_samples).map_err(to_python)?,
    };
    let sizes = sampling::check(&x).map_err(to_python)?;
    let bytes = sampling::scratch_bytes(&x).map_err(to_python)?;
    let (points, points_out) = call.empty_like(verts, &[sizes.n, sizes.s, 3])?;
    let (sampled, sampled_out) = call.empty_index(verts, &[sizes.n, sizes.s])?;
    let (weights, weights_out) = call.empty_like(verts, &[sizes.n, sizes.s, 3])?;
    let (_scratch, scratch) = call.scratch(verts, bytes)?;
    let mut out = Outputs { points: points_out, faces: sampled_out, weights: weights_out, scratch };
    call.run(|| sampling::forward(&x, &mut out))?;
    Ok((points, sampled, weights))
}

/// `patina3d_ops::sample_points_from_meshes::backward`: the gradient of verts.
#[pyfunction]
pub(crate) fn sample_points_from_meshes_backward<'py>(
    py: Python<'py>,
    faces: &Object<'py>,
    sampled_faces: &Object<'py>,
    weights: &Object<'py>,
    grad_points: &Object<'py>,
    num_verts: usize,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let x = GradInputs {
        faces: call.input("faces", faces)?,
        sampled_faces: call.input("the sampled faces", sampled_faces)?,
        weights: call.input("the weights", weights)?,
        grad_points: call.input("the gradient of the points", grad_points)?,
    };
    let bytes = sampling::backward_scratch_bytes(&x, num_verts).map_err(to_python)?;
    let (grad_verts, verts_out) = call.empty_like(weights, &[num_verts, 3])?;
    let (_scratch, scratch) = call.scratch(weights, bytes)?;
    let mut out = Gradients { verts: verts_out, scratch };
    call.run(|| sampling::backward(&x, &mut out))?;
    Ok(grad_verts)
}
