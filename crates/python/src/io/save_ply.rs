// SPDX-License-Identifier: Apache-2.0
use patina3d_io::ply::{self, Colors, Format};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{arrays::rows, value_error};
use crate::call::guard;

/// The bytes of a PLY file; values are doubles, colours doubles or bytes, indices 64-bit integers that count from 0.
#[pyfunction]
#[pyo3(signature = (ascii, decimal_places, verts, normals, float_colors, byte_colors, faces))]
pub(super) fn save_ply<'py>(
    py: Python<'py>,
    ascii: bool,
    decimal_places: usize,
    verts: &[u8],
    normals: Option<&[u8]>,
    float_colors: Option<&[u8]>,
    byte_colors: Option<&[u8]>,
    faces: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let write = || {
        let (normals, faces) = (normals.map(rows), faces.map(rows));
        let (floats, bytes) = (float_colors.map(rows), byte_colors.map(rows));
        let colors = floats.as_deref().map(Colors::Float).or(bytes.as_deref().map(Colors::UInt8));
        let mesh = ply::Mesh { verts: &rows(verts), normals: normals.as_deref(), colors, faces: faces.as_deref() };
        let format = if ascii { Format::Ascii } else { Format::BINARY_NATIVE };
        let mut file = Vec::new();
        ply::write(&mesh, format, decimal_places, &mut file).map(|()| file)
    };
    let file = guard("save_ply", || py.detach(write).map_err(|error| value_error("save_ply", "the mesh", &error)))?;
    Ok(PyBytes::new(py, &file))
}
