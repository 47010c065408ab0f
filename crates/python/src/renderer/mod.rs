// SPDX-License-Identifier: Apache-2.0
//! `_native.renderer`.

mod blending;
mod rasterize_meshes;

use pyo3::prelude::*;

/// Operators that turn geometry into pixels.
#[pymodule]
pub(crate) mod renderer {
    #[pymodule_export]
    use super::blending::{blending_backward, blending_forward};
    #[pymodule_export]
    use super::rasterize_meshes::{rasterize_meshes_backward, rasterize_meshes_forward};
}
