// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::sample_farthest_points::{self as sampling, Inputs, Outputs};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

/// `patina3d_ops::sample_farthest_points::forward`: idx.
#[pyfunction]
pub(crate) fn sample_farthest_points<'py>(
    py: Python<'py>,
    points: &Object<'py>,
    lengths: Option<&Object<'py>>,
    counts: Option<&Object<'py>>,
    start: Option<&Object<'py>>,
    k: i64,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, "sample_farthest_points")?;
    let x = Inputs {
        points: call.input("points", points)?,
        lengths: call.optional("lengths", lengths)?,
        counts: call.optional("K", counts)?,
        start: call.optional("the start", start)?,
        k: sampling::count(k).map_err(to_python)?,
    };
    let sizes = sampling::check(&x).map_err(to_python)?;
    let (idx, idx_out) = call.empty_index(points, &[sizes.n, sizes.k])?;
    let (_scratch, scratch) = call.scratch(points, sampling::scratch_bytes(&x, sizes))?;
    let mut out = Outputs { idx: idx_out, scratch };
    call.run(|| sampling::forward(&x, &mut out))?;
    Ok(idx)
}
