// SPDX-License-Identifier: Apache-2.0
//! `_native.renderer`.

use pyo3::prelude::*;

/// Operators that turn geometry into pixels.
#[pymodule]
pub(crate) mod renderer {}
