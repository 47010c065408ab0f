// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::interp_face_attrs::{self, GradInputs, Gradients, Inputs};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "interpolate_face_attributes";

fn inputs<'py>(call: &Call<'py>, [slots, weights, values]: [&Object<'py>; 3]) -> PyResult<Inputs<'py>> {
    Ok(Inputs {
        pix_to_face: call.input("pix_to_face", slots)?,
        barycentric_coords: call.input("barycentric_coords", weights)?,
        face_attributes: call.input("face_attributes", values)?,
    })
}

/// `patina3d_ops::interp_face_attrs::forward`.
#[pyfunction]
pub(crate) fn interp_face_attrs_forward<'py>(
    py: Python<'py>,
    pix_to_face: &Object<'py>,
    barycentric_coords: &Object<'py>,
    face_attributes: &Object<'py>,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let x = inputs(&call, [pix_to_face, barycentric_coords, face_attributes])?;
    let sizes = interp_face_attrs::check(&x).map_err(to_python)?;
    let (mixed, mut out) = call.empty_like(barycentric_coords, &sizes.result())?;
    call.run(|| interp_face_attrs::forward(&x, &mut out))?;
    Ok(mixed)
}

/// `patina3d_ops::interp_face_attrs::backward`: the gradients of `barycentric_coords` and `face_attributes` that are asked
/// for.
#[pyfunction]
pub(crate) fn interp_face_attrs_backward<'py>(
    py: Python<'py>,
    pix_to_face: &Object<'py>,
    barycentric_coords: &Object<'py>,
    face_attributes: &Object<'py>,
    grad: &Object<'py>,
    of_weights: bool,
    of_values: bool,
) -> PyResult<Vec<Object<'py>>> {
    let call = Call::new(py, OPERATOR)?;
    let inputs = inputs(&call, [pix_to_face, barycentric_coords, face_attributes])?;
    let x = GradInputs { inputs, grad: call.input("the gradient of the result", grad)? };
    let bytes = if of_values { interp_face_attrs::scratch_bytes(&x).map_err(to_python)? } else { 0 };
    let empty = |wanted: bool, like, shape| wanted.then(|| call.empty_like(like, shape)).transpose();
    let (weights, weights_out) = empty(of_weights, barycentric_coords, inputs.barycentric_coords.shape())?.unzip();
    let (values, values_out) = empty(of_values, face_attributes, inputs.face_attributes.shape())?.unzip();
    let (_scratch, scratch) = call.scratch(pix_to_face, bytes)?;
    let mut out = Gradients { barycentric_coords: weights_out, face_attributes: values_out, scratch };
    call.run(|| interp_face_attrs::backward(&x, &mut out))?;
    Ok(weights.into_iter().chain(values).collect())
}
