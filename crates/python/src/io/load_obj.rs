// SPDX-License-Identifier: Apache-2.0
use patina3d_io::obj;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::{arrays::bytearray, value_error};
use crate::call::guard;

/// The arrays of an OBJ file by name; `source` names the file in errors.
#[pyfunction]
pub(super) fn load_obj<'py>(py: Python<'py>, data: &[u8], source: &str) -> PyResult<Bound<'py, PyDict>> {
    let obj =
        guard("load_obj", || py.detach(|| obj::read(data)).map_err(|error| value_error("load_obj", source, &error)))?;
    let names = |names: Vec<Vec<u8>>| names.iter().map(|name| PyBytes::new(py, name)).collect::<Vec<_>>();
    let arrays = PyDict::new(py);
    // Each array is freed as soon as it has crossed: a large file is held as few times as can be.
    arrays.set_item("verts", bytearray(py, &obj.verts.into_flattened())?)?;
    arrays.set_item("normals", bytearray(py, &obj.normals.into_flattened())?)?;
    arrays.set_item("uvs", bytearray(py, &obj.uvs.into_flattened())?)?;
    arrays.set_item("faces", bytearray(py, &obj.faces.into_flattened())?)?;
    arrays.set_item("faces_normals", bytearray(py, &obj.faces_normals.into_flattened())?)?;
    arrays.set_item("faces_uvs", bytearray(py, &obj.faces_uvs.into_flattened())?)?;
    arrays.set_item("faces_materials", bytearray(py, &obj.faces_materials)?)?;
    arrays.set_item("materials", names(obj.materials))?;
    arrays.set_item("libraries", names(obj.libraries))?;
    Ok(arrays)
}
