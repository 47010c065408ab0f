// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::packed_to_padded::{self as packing, Inputs, PACK, PAD};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

/// `patina3d_ops::packed_to_padded::pad`: the padded form.
#[pyfunction]
pub(crate) fn packed_to_padded<'py>(
    py: Python<'py>,
    inputs: &Object<'py>,
    first_idxs: &Object<'py>,
    max_size: i64,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, PAD)?;
    let x = Inputs {
        inputs: call.input("inputs", inputs)?,
        first_idxs: call.input("first_idxs", first_idxs)?,
        size: packing::count(PAD, "max_size", max_size).map_err(to_python)?,
    };
    let (padded, mut out) = call.empty_like(inputs, &packing::check_pad(&x).map_err(to_python)?)?;
    call.run(|| packing::pad(&x, &mut out))?;
    Ok(padded)
}

/// `patina3d_ops::packed_to_padded::pack`: the packed form.
#[pyfunction]
pub(crate) fn padded_to_packed<'py>(
    py: Python<'py>,
    inputs: &Object<'py>,
    first_idxs: &Object<'py>,
    num_inputs: i64,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, PACK)?;
    let x = Inputs {
        inputs: call.input("inputs", inputs)?,
        first_idxs: call.input("first_idxs", first_idxs)?,
        size: packing::count(PACK, "num_inputs", num_inputs).map_err(to_python)?,
    };
    let (packed, mut out) = call.empty_like(inputs, &packing::check_pack(&x).map_err(to_python)?)?;
    call.run(|| packing::pack(&x, &mut out))?;
    Ok(packed)
}
