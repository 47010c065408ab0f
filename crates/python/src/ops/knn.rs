// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::knn::{self, GradInputs, Gradients, Inputs, Norm, Outputs};
use pyo3::prelude::*;

use super::point_index::trees;
use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

fn inputs<'py>(
    call: &Call<'py>,
    [p1, p2]: [&Object<'py>; 2],
    [lengths1, lengths2]: [Option<&Object<'py>>; 2],
    index: [Option<&Object<'py>>; 3],
    norm: i64,
    k: i64,
) -> PyResult<Inputs<'py>> {
    Ok(Inputs {
        p1: call.input("p1", p1)?,
        p2: call.input("p2", p2)?,
        lengths1: call.optional("lengths1", lengths1)?,
        lengths2: call.optional("lengths2", lengths2)?,
        trees: trees(call, index)?,
        norm: Norm::new(norm).map_err(to_python)?,
        k: knn::count(knn::OPERATOR, k).map_err(to_python)?,
    })
}

/// `patina3d_ops::knn::forward`: (dists, idx).
#[pyfunction]
pub(crate) fn knn_forward<'py>(
    py: Python<'py>,
    p1: &Object<'py>,
    p2: &Object<'py>,
    lengths1: Option<&Object<'py>>,
    lengths2: Option<&Object<'py>>,
    leaves: Option<&Object<'py>>,
    boxes: Option<&Object<'py>>,
    ids: Option<&Object<'py>>,
    norm: i64,
    k: i64,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let call = Call::new(py, "knn_points")?;
    let x = inputs(&call, [p1, p2], [lengths1, lengths2], [leaves, boxes, ids], norm, k)?;
    let sizes = knn::check(&x).map_err(to_python)?;
    let (dists, dists_out) = call.empty_like(p1, &sizes.neighbours())?;
    let (idx, idx_out) = call.empty_index(p1, &sizes.neighbours())?;
    let (_scratch, scratch) = call.scratch(p1, knn::forward_scratch_bytes(&x).map_err(to_python)?)?;
    let mut out = Outputs { dists: dists_out, idx: idx_out, scratch };
    call.run(|| knn::forward(&x, &mut out))?;
    Ok((dists, idx))
}

/// `patina3d_ops::knn::backward`: the gradients of p1 and p2 that are asked for.
#[pyfunction]
pub(crate) fn knn_backward<'py>(
    py: Python<'py>,
    p1: &Object<'py>,
    p2: &Object<'py>,
    lengths1: Option<&Object<'py>>,
    lengths2: Option<&Object<'py>>,
    norm: i64,
    idx: &Object<'py>,
    grad_dists: &Object<'py>,
    of_p1: bool,
    of_p2: bool,
) -> PyResult<Vec<Object<'py>>> {
    let call = Call::new(py, "knn_points")?;
    let idx = call.input("idx", idx)?;
    let k = idx.shape().last().map_or(0, |&k| k as i64);
    let inputs = inputs(&call, [p1, p2], [lengths1, lengths2], [None; 3], norm, k)?;
    let x = GradInputs { inputs, idx, grad_dists: call.input("the gradient of dists", grad_dists)? };
    let bytes = if of_p2 { knn::scratch_bytes(&x).map_err(to_python)? } else { 0 };
    let (grad_p1, p1_out) = of_p1.then(|| call.empty_like(p1, x.inputs.p1.shape())).transpose()?.unzip();
    let (grad_p2, p2_out) = of_p2.then(|| call.empty_like(p2, x.inputs.p2.shape())).transpose()?.unzip();
    let (_scratch, scratch) = call.scratch(p1, bytes)?;
    let mut out = Gradients { p1: p1_out, p2: p2_out, scratch };
    call.run(|| knn::backward(&x, &mut out))?;
    Ok(grad_p1.into_iter().chain(grad_p2).collect())
}
