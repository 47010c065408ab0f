// SPDX-License-Identifier: Apache-2.0
use patina3d_io::obj::{self, Obj};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use super::{arrays::bytearray, value_error};
use crate::call::guard;

/// An OBJ file that was read.
#[pyclass]
pub(super) struct ObjFile {
    obj: Obj,
}

#[pymethods]
impl ObjFile {
    /// An array by name, once: it is freed here as soon as it has crossed, so that a large file is held as few times
    /// as can be.
    fn take<'py>(&mut self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyByteArray>> {
        use std::mem::take;
        let obj = &mut self.obj;
        match name {
            "verts" => bytearray(py, take(&mut obj.verts).as_flattened()),
            "colors" => bytearray(py, take(&mut obj.colors).as_flattened()),
            "normals" => bytearray(py, take(&mut obj.normals).as_flattened()),
            "uvs" => bytearray(py, take(&mut obj.uvs).as_flattened()),
            "faces" => bytearray(py, take(&mut obj.faces).as_flattened()),
            "faces_normals" => bytearray(py, take(&mut obj.faces_normals).as_flattened()),
            "faces_uvs" => bytearray(py, take(&mut obj.faces_uvs).as_flattened()),
            "faces_materials" => bytearray(py, &take(&mut obj.faces_materials)),
            _ => Err(PyKeyError::new_err(name.to_owned())),
        }
    }

    /// The names that `usemtl` gives, in order of first use.
    fn materials<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        names(py, &self.obj.materials)
    }

    /// What follows each `mtllib`.
    fn libraries<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        names(py, &self.obj.libraries)
    }
}

fn names<'py>(py: Python<'py>, names: &[Vec<u8>]) -> Vec<Bound<'py, PyBytes>> {
    names.iter().map(|name| PyBytes::new(py, name)).collect()
}

/// Reads an OBJ file; `source` names it in errors.
#[pyfunction]
pub(super) fn load_obj(py: Python<'_>, data: &[u8], source: &str) -> PyResult<ObjFile> {
    let read = || py.detach(|| obj::read(data)).map_err(|error| value_error("load_obj", source, &error));
    Ok(ObjFile { obj: guard("load_obj", read)? })
}
