// SPDX-License-Identifier: Apache-2.0
use patina3d_io::obj;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{arrays::rows, value_error};
use crate::call::guard;

/// The text of an OBJ file; values are doubles, indices 64-bit integers that count from 0.
#[pyfunction]
#[pyo3(signature = (header, decimal_places, verts, colors, faces, normals, faces_normals, uvs, faces_uvs))]
pub(super) fn save_obj<'py>(
    py: Python<'py>,
    header: &[u8],
    decimal_places: usize,
    verts: &[u8],
    colors: Option<&[u8]>,
    faces: &[u8],
    normals: Option<&[u8]>,
    faces_normals: Option<&[u8]>,
    uvs: Option<&[u8]>,
    faces_uvs: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let write = || {
        let (colors, faces_normals, faces_uvs) = (colors.map(rows), faces_normals.map(rows), faces_uvs.map(rows));
        let mesh = obj::Mesh {
            header,
            verts: &rows(verts),
            colors: colors.as_deref(),
            normals: &normals.map(rows).unwrap_or_default(),
            uvs: &uvs.map(rows).unwrap_or_default(),
            faces: &rows(faces),
            faces_normals: faces_normals.as_deref(),
            faces_uvs: faces_uvs.as_deref(),
        };
        let mut text = Vec::new();
        obj::write(&mesh, decimal_places, &mut text).map(|()| text)
    };
    let text = guard("save_obj", || py.detach(write).map_err(|error| value_error("save_obj", "the mesh", &error)))?;
    Ok(PyBytes::new(py, &text))
}
