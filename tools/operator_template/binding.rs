// SPDX-License-Identifier: Apache-2.0
use patina3d___package__::__op__::{self, GradInputs, Gradients, Inputs, Outputs};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "__op__";

/// `patina3d___package__::__op__::forward`: y.
#[pyfunction]
pub(crate) fn __op___forward<'py>(py: Python<'py>, x: &Object<'py>) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let inputs = Inputs { x: call.input("x", x)? };
    let shape = __op__::check(&inputs).map_err(to_python)?;
    let (y, y_out) = call.empty_like(x, &shape)?;
    let mut out = Outputs { y: y_out };
    call.run(|| __op__::forward(&inputs, &mut out))?;
    Ok(y)
}

/// `patina3d___package__::__op__::backward`: the gradient of x.
#[pyfunction]
pub(crate) fn __op___backward<'py>(py: Python<'py>, x: &Object<'py>, grad_y: &Object<'py>) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let inputs = GradInputs { inputs: Inputs { x: call.input("x", x)? }, grad_y: call.input("the gradient of y", grad_y)? };
    let (grad_x, x_out) = call.empty_like(x, inputs.inputs.x.shape())?;
    let mut out = Gradients { x: x_out };
    call.run(|| __op__::backward(&inputs, &mut out))?;
    Ok(grad_x)
}
