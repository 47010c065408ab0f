// SPDX-License-Identifier: Apache-2.0
//! `_native.io`: readers and writers of mesh files. Arrays cross as bytes of the machine's order, row by row.

mod arrays;
mod load_mtl;
mod load_obj;
mod load_ply;
mod save_obj;
mod save_ply;

use patina3d_io::Error;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The submodule `io`.
#[pymodule]
pub(crate) mod io {
    #[pymodule_export]
    use super::load_mtl::load_mtl;
    #[pymodule_export]
    use super::load_obj::{ObjFile, load_obj};
    #[pymodule_export]
    use super::load_ply::{PlyFile, load_ply};
    #[pymodule_export]
    use super::save_obj::save_obj;
    #[pymodule_export]
    use super::save_ply::save_ply;
}

/// `load_obj: FILE, line 12: vertex needs 3 numbers, got 2` as a `ValueError`.
fn value_error(operator: &str, source: &str, error: &Error) -> PyErr {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    PyValueError::new_err(format!("{operator}: {source}{line}: {}", error.message()))
}
