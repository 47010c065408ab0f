// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::ball_query::{self, GatherInputs, Inputs, Order, Outputs};
use patina3d_ops::knn;
use pyo3::prelude::*;

use super::point_index::trees;
use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

/// `patina3d_ops::ball_query::forward`: (dists, idx).
#[pyfunction]
pub(crate) fn ball_query_forward<'py>(
    py: Python<'py>,
    p1: &Object<'py>,
    p2: &Object<'py>,
    lengths1: Option<&Object<'py>>,
    lengths2: Option<&Object<'py>>,
    leaves: Option<&Object<'py>>,
    boxes: Option<&Object<'py>>,
    ids: Option<&Object<'py>>,
    k: i64,
    radius: f64,
    nearest: bool,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let call = Call::new(py, ball_query::OPERATOR)?;
    let x = Inputs {
        p1: call.input("p1", p1)?,
        p2: call.input("p2", p2)?,
        lengths1: call.optional("lengths1", lengths1)?,
        lengths2: call.optional("lengths2", lengths2)?,
        trees: trees(&call, [leaves, boxes, ids])?,
        k: knn::count(ball_query::OPERATOR, k).map_err(to_python)?,
        radius,
        order: if nearest { Order::Nearest } else { Order::Index },
    };
    let sizes = ball_query::check(&x).map_err(to_python)?;
    let (dists, dists_out) = call.empty_like(p1, &sizes.neighbours())?;
    let (idx, idx_out) = call.empty_index(p1, &sizes.neighbours())?;
    let (_scratch, scratch) = call.scratch(p1, ball_query::scratch_bytes(&x).map_err(to_python)?)?;
    let mut out = Outputs { dists: dists_out, idx: idx_out, scratch };
    call.run(|| ball_query::forward(&x, &mut out))?;
    Ok((dists, idx))
}

/// `patina3d_ops::ball_query::gather`: knn.
#[pyfunction]
pub(crate) fn ball_query_gather<'py>(
    py: Python<'py>,
    points: &Object<'py>,
    idx: &Object<'py>,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, ball_query::OPERATOR)?;
    let x = GatherInputs { points: call.input("points", points)?, idx: call.input("idx", idx)? };
    let (knn, mut out) = call.empty_like(points, &ball_query::check_gather(&x).map_err(to_python)?)?;
    call.run(|| ball_query::gather(&x, &mut out))?;
    Ok(knn)
}
