// SPDX-License-Identifier: Apache-2.0
use patina3d_io::ply::{self, Column, Element, Format, Header, Ply, Values};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use super::{arrays::bytearray, value_error};
use crate::call::guard;

/// The name of a torch dtype, the values of a column in it, and the lengths of its lists (`int64`) if it holds lists.
type Crossed<'py> = (&'static str, Bound<'py, PyByteArray>, Option<Bound<'py, PyByteArray>>);

/// A PLY file that was read.
#[pyclass(frozen)]
pub(super) struct PlyFile {
    ply: Ply,
}

#[pymethods]
impl PlyFile {
    /// The number of records of an element; 0 if there is no such element.
    fn count(&self, element: &str) -> usize {
        self.element(element).map_or(0, |(header, _)| header.count)
    }

    /// The names of the properties of an element, and whether each holds lists; none if there is no such element.
    fn properties(&self, element: &str) -> Vec<(&str, bool)> {
        let Some((header, columns)) = self.element(element) else { return Vec::new() };
        let is_list = |column: &Column| matches!(column, Column::Lists(..));
        header.properties.iter().zip(columns).map(|(header, column)| (header.name.as_str(), is_list(column))).collect()
    }

    /// What a property holds in all records of its element. Torch has no arithmetic on unsigned integers of more than
    /// a byte: they become the next wider signed ones.
    fn column<'py>(&self, py: Python<'py>, element: &str, property: &str) -> PyResult<Crossed<'py>> {
        let missing = || PyKeyError::new_err(format!("{element}.{property}"));
        let (header, columns) = self.element(element).ok_or_else(missing)?;
        let mut columns = header.properties.iter().zip(columns);
        let (_, column) = columns.find(|(header, _)| header.name == property).ok_or_else(missing)?;
        let (Column::Scalars(values) | Column::Lists(_, values)) = column;
        let (dtype, values) = match values {
            Values::Int8(values) => ("int8", bytearray(py, values)?),
            Values::UInt8(values) => ("uint8", bytearray(py, values)?),
            Values::Int16(values) => ("int16", bytearray(py, values)?),
            Values::UInt16(values) => ("int32", bytearray(py, &widened::<_, i32>(values))?),
            Values::Int32(values) => ("int32", bytearray(py, values)?),
            Values::UInt32(values) => ("int64", bytearray(py, &widened::<_, i64>(values))?),
            Values::Float32(values) => ("float32", bytearray(py, values)?),
            Values::Float64(values) => ("float64", bytearray(py, values)?),
        };
        let lengths = match column {
            Column::Scalars(_) => None,
            Column::Lists(lengths, _) => Some(bytearray(py, &widened::<_, i64>(lengths))?),
        };
        Ok((dtype, values, lengths))
    }
}

impl PlyFile {
    fn element(&self, name: &str) -> Option<(&Element, &[Column])> {
        let at = self.ply.header.elements.iter().position(|element| element.name == name)?;
        Some((&self.ply.header.elements[at], &self.ply.elements[at]))
    }
}

fn widened<T: Copy, U: From<T>>(values: &[T]) -> Vec<U> {
    values.iter().map(|&value| value.into()).collect()
}

/// Reads a PLY file; `source` names it in errors, `is_text` says that it came from a stream of text.
#[pyfunction]
pub(super) fn load_ply(py: Python<'_>, data: &[u8], source: &str, is_text: bool) -> PyResult<PlyFile> {
    let read = || {
        let (header, _) = Header::read(data)?;
        if is_text && header.format != Format::Ascii { Ok(None) } else { ply::read(data).map(Some) }
    };
    let ply = guard("load_ply", || py.detach(read).map_err(|error| value_error("load_ply", source, &error)))?;
    let binary =
        || PyValueError::new_err(format!("load_ply: {source}: a binary file needs a stream of bytes, got text"));
    Ok(PlyFile { ply: ply.ok_or_else(binary)? })
}
