// SPDX-License-Identifier: Apache-2.0
use patina3d_io::mtl;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::value_error;
use crate::call::guard;

/// The materials of an MTL file, each a dict of what the file gives; `source` names the file in errors.
#[pyfunction]
pub(super) fn load_mtl<'py>(py: Python<'py>, data: &[u8], source: &str) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let read = || py.detach(|| mtl::read(data)).map_err(|error| value_error("load_mtl", source, &error));
    let materials = guard("load_mtl", read)?;
    materials
        .iter()
        .map(|material| {
            let dict = PyDict::new(py);
            dict.set_item("name", PyBytes::new(py, &material.name))?;
            let colors = [
                ("ambient_color", material.ambient),
                ("diffuse_color", material.diffuse),
                ("specular_color", material.specular),
            ];
            for (key, color) in colors {
                if let Some(color) = color {
                    dict.set_item(key, color)?;
                }
            }
            if let Some(shininess) = material.shininess {
                dict.set_item("shininess", [shininess])?;
            }
            if let Some(file) = &material.diffuse_map {
                dict.set_item("diffuse_map", PyBytes::new(py, file))?;
                dict.set_item("diffuse_map_is_moved", material.diffuse_map_is_moved)?;
                dict.set_item("diffuse_map_options", PyBytes::new(py, &material.diffuse_map_options))?;
            }
            Ok(dict)
        })
        .collect()
}
