// SPDX-License-Identifier: Apache-2.0
//! `_native.ops`.

mod knn;

use pyo3::prelude::*;

/// Operators on points and meshes.
#[pymodule]
pub(crate) mod ops {
    #[pymodule_export]
    use super::knn::{knn_backward, knn_forward};
}
