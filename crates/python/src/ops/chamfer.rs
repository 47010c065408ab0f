// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::chamfer::{self, GradInputs, Gradients, Inputs, Nearest, Outputs};
use patina3d_ops::knn::Norm;
use pyo3::prelude::*;

use super::point_index::trees;
use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

fn inputs<'py>(
    call: &Call<'py>,
    [x, y]: [&Object<'py>; 2],
    [x_lengths, y_lengths]: [Option<&Object<'py>>; 2],
    [x_index, y_index]: [[Option<&Object<'py>>; 3]; 2],
    norm: i64,
) -> PyResult<Inputs<'py>> {
    Ok(Inputs {
        x: call.input("x", x)?,
        y: call.input("y", y)?,
        x_lengths: call.optional("x_lengths", x_lengths)?,
        y_lengths: call.optional("y_lengths", y_lengths)?,
        x_trees: trees(call, x_index)?,
        y_trees: trees(call, y_index)?,
        norm: Norm::new(norm).map_err(to_python)?,
    })
}

/// `patina3d_ops::chamfer::forward`: distances and indices of x, then those of y.
#[pyfunction]
pub(crate) fn chamfer_forward<'py>(
    py: Python<'py>,
    x: &Object<'py>,
    y: &Object<'py>,
    x_lengths: Option<&Object<'py>>,
    y_lengths: Option<&Object<'py>>,
    x_leaves: Option<&Object<'py>>,
    x_boxes: Option<&Object<'py>>,
    x_ids: Option<&Object<'py>>,
    y_leaves: Option<&Object<'py>>,
    y_boxes: Option<&Object<'py>>,
    y_ids: Option<&Object<'py>>,
    norm: i64,
) -> PyResult<[Object<'py>; 4]> {
    let call = Call::new(py, "chamfer_distance")?;
    let index = [[x_leaves, x_boxes, x_ids], [y_leaves, y_boxes, y_ids]];
    let inputs = inputs(&call, [x, y], [x_lengths, y_lengths], index, norm)?;
    let sizes = chamfer::check(&inputs).map_err(to_python)?;
    let (dists_x, dists_x_out) = call.empty_like(x, &[sizes.n, sizes.p1])?;
    let (idx_x, idx_x_out) = call.empty_index(x, &[sizes.n, sizes.p1])?;
    let (dists_y, dists_y_out) = call.empty_like(y, &[sizes.n, sizes.p2])?;
    let (idx_y, idx_y_out) = call.empty_index(y, &[sizes.n, sizes.p2])?;
    let (_scratch, scratch) = call.scratch(x, chamfer::forward_scratch_bytes(&inputs).map_err(to_python)?)?;
    let mut out = Outputs {
        x: Nearest { dists: dists_x_out, idx: idx_x_out },
        y: Nearest { dists: dists_y_out, idx: idx_y_out },
        scratch,
    };
    call.run(|| chamfer::forward(&inputs, &mut out))?;
    Ok([dists_x, idx_x, dists_y, idx_y])
}

/// `patina3d_ops::chamfer::backward`: the gradients of x and y that are asked for.
#[pyfunction]
pub(crate) fn chamfer_backward<'py>(
    py: Python<'py>,
    x: &Object<'py>,
    y: &Object<'py>,
    x_lengths: Option<&Object<'py>>,
    y_lengths: Option<&Object<'py>>,
    norm: i64,
    idx_x: &Object<'py>,
    idx_y: &Object<'py>,
    grad_dists_x: &Object<'py>,
    grad_dists_y: &Object<'py>,
    of_x: bool,
    of_y: bool,
) -> PyResult<Vec<Object<'py>>> {
    let call = Call::new(py, "chamfer_distance")?;
    let inputs = GradInputs {
        inputs: inputs(&call, [x, y], [x_lengths, y_lengths], [[None; 3]; 2], norm)?,
        idx_x: call.input("the indices", idx_x)?,
        idx_y: call.input("the indices", idx_y)?,
        grad_dists_x: call.input("the gradient of the distances", grad_dists_x)?,
        grad_dists_y: call.input("the gradient of the distances", grad_dists_y)?,
    };
    let bytes = chamfer::scratch_bytes(&inputs).map_err(to_python)?;
    let (grad_x, x_out) = of_x.then(|| call.empty_like(x, inputs.inputs.x.shape())).transpose()?.unzip();
    let (grad_y, y_out) = of_y.then(|| call.empty_like(y, inputs.inputs.y.shape())).transpose()?.unzip();
    let (_scratch, scratch) = call.scratch(x, bytes)?;
    let mut out = Gradients { x: x_out, y: y_out, scratch };
    call.run(|| chamfer::backward(&inputs, &mut out))?;
    Ok(grad_x.into_iter().chain(grad_y).collect())
}
