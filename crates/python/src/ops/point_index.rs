// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::point_index::{self, Inputs, Outputs, Trees};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

/// `patina3d_ops::point_index::forward`: (leaves, boxes, ids).
#[pyfunction]
pub(crate) fn point_index_forward<'py>(
    py: Python<'py>,
    points: &Object<'py>,
    lengths: Option<&Object<'py>>,
) -> PyResult<(Object<'py>, Object<'py>, Object<'py>)> {
    let call = Call::new(py, "PointIndex")?;
    let x = Inputs { points: call.input("points", points)?, lengths: call.optional("lengths", lengths)? };
    let (n, layout) = point_index::check(&x).map_err(to_python)?;
    let batch = |shape: &[usize]| -> Vec<usize> { [n].iter().chain(shape).copied().collect() };
    let (leaves, leaves_out) = call.empty_like(points, &batch(&layout.points()))?;
    let (boxes, boxes_out) = call.empty_like(points, &batch(&layout.boxes()))?;
    let (ids, ids_out) = call.empty_number(points, &batch(&layout.ids()))?;
    let (_scratch, scratch) = call.scratch(points, point_index::scratch_bytes(&x).map_err(to_python)?)?;
    let mut out = Outputs { leaves: leaves_out, boxes: boxes_out, ids: ids_out, scratch };
    call.run(|| point_index::forward(&x, &mut out))?;
    Ok((leaves, boxes, ids))
}

/// The tensors of trees, all or none.
pub(super) fn trees<'py>(
    call: &Call<'py>,
    [leaves, boxes, ids]: [Option<&Object<'py>>; 3],
) -> PyResult<Option<Trees<'py>>> {
    let (Some(leaves), Some(boxes), Some(ids)) = (leaves, boxes, ids) else { return Ok(None) };
    Ok(Some(Trees {
        leaves: call.input("leaves", leaves)?,
        boxes: call.input("boxes", boxes)?,
        ids: call.input("ids", ids)?,
    }))
}
