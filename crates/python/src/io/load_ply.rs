// SPDX-License-Identifier: Apache-2.0
use patina3d_io::ply::{self, Column, Element, Format, Header, Ply, Polygons, Triangle, Values};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use super::{arrays::bytearray, value_error};
use crate::call::guard;

/// A PLY file that was read.
#[pyclass(frozen)]
pub(super) struct PlyFile {
    ply: Ply,
    source: String,
}

#[pymethods]
impl PlyFile {
    /// Whether the body is text, and whether it is packed with the most significant byte first.
    fn format(&self) -> (bool, bool) {
        let format = self.ply.header.format;
        (format == Format::Ascii, format == Format::BinaryBigEndian)
    }

    /// The names of the elements.
    fn elements(&self) -> Vec<&str> {
        self.ply.header.elements.iter().map(|element| element.name.as_str()).collect()
    }

    /// The number of records of an element; 0 if there is no such element.
    fn count(&self, element: &str) -> usize {
        self.element(element).map_or(0, |(header, _)| header.count)
    }

    /// The names of the properties of an element with the types of their values, and whether each holds lists; none if
    /// there is no such element.
    fn properties(&self, element: &str) -> Vec<(&str, &'static str, bool)> {
        let Some((header, columns)) = self.element(element) else { return Vec::new() };
        let kind = |column: &Column| match column {
            Column::Scalars(values) => (values.scalar().name(), false),
            Column::Lists(_, values) => (values.scalar().name(), true),
        };
        let named = header.properties.iter().zip(columns);
        named.map(|(header, column)| (header.name.as_str(), kind(column).0, kind(column).1)).collect()
    }

    /// The text of each comment.
    fn comments<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        texts(py, &self.ply.header.comments)
    }

    /// The text of each `obj_info`.
    fn obj_infos<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        texts(py, &self.ply.header.obj_infos)
    }

    /// What a property holds in all records of its element, in the type that the file declares: of a list, its items.
    fn values<'py>(&self, py: Python<'py>, element: &str, property: &str) -> PyResult<Bound<'py, PyByteArray>> {
        let (Column::Scalars(values) | Column::Lists(_, values)) = self.column(element, property)?;
        match values {
            Values::Int8(values) => bytearray(py, values),
            Values::UInt8(values) => bytearray(py, values),
            Values::Int16(values) => bytearray(py, values),
            Values::UInt16(values) => bytearray(py, values),
            Values::Int32(values) => bytearray(py, values),
            Values::UInt32(values) => bytearray(py, values),
            Values::Float32(values) => bytearray(py, values),
            Values::Float64(values) => bytearray(py, values),
        }
    }

    /// What some properties hold in all records of their element, row by row, as `float32`: of a list, its items.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the vector")]
    fn rows<'py>(&self, py: Python<'py>, element: &str, properties: Vec<String>) -> PyResult<Bound<'py, PyByteArray>> {
        let columns = properties.iter().map(|property| match self.column(element, property)? {
            Column::Scalars(values) | Column::Lists(_, values) => Ok(values),
        });
        let columns: Vec<&Values> = columns.collect::<PyResult<_>>()?;
        let numbers: usize = columns.iter().map(|values| values.len()).sum();
        PyByteArray::new_with(py, numbers * size_of::<f32>(), |bytes| {
            let (singles, _) = bytes.as_chunks_mut();
            ply::rows(&columns, |at, value| {
                if let Some(single) = singles.get_mut(at) {
                    *single = value.to_ne_bytes();
                }
            });
            Ok(())
        })
    }

    /// The number of items of each list, `int64`.
    fn lengths<'py>(&self, py: Python<'py>, element: &str, property: &str) -> PyResult<Bound<'py, PyByteArray>> {
        let lengths: Vec<i64> = self.lists(element, property)?.0.iter().map(|&length| length.into()).collect();
        bytearray(py, &lengths)
    }

    /// The triangles of lists of corners, `int64`; if `places`, by the place of each corner among all.
    fn triangles<'py>(
        &self,
        py: Python<'py>,
        element: &str,
        property: &str,
        places: bool,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let (lengths, corners) = self.lists(element, property)?;
        let polygons =
            Polygons::new(lengths, corners).map_err(|error| value_error("load_ply", &self.source, &error))?;
        PyByteArray::new_with(py, polygons.count() * size_of::<Triangle>(), |bytes| {
            let mut triangles = bytes.as_chunks_mut().0.as_chunks_mut::<3>().0.iter_mut();
            let push = |triangle: Triangle| {
                if let Some(place) = triangles.next() {
                    *place = triangle.map(i64::to_ne_bytes);
                }
            };
            if places {
                polygons.for_each_place(push);
            } else {
                polygons.for_each(push);
            }
            Ok(())
        })
    }
}

impl PlyFile {
    fn element(&self, name: &str) -> Option<(&Element, &[Column])> {
        let at = self.ply.header.elements.iter().position(|element| element.name == name)?;
        Some((&self.ply.header.elements[at], &self.ply.elements[at]))
    }

    fn column(&self, element: &str, property: &str) -> PyResult<&Column> {
        let missing = || PyKeyError::new_err(format!("{element}.{property}"));
        let (header, columns) = self.element(element).ok_or_else(missing)?;
        let at = header.properties.iter().position(|header| header.name == property);
        at.and_then(|at| columns.get(at)).ok_or_else(missing)
    }

    fn lists(&self, element: &str, property: &str) -> PyResult<(&[u32], &Values)> {
        match self.column(element, property)? {
            Column::Lists(lengths, values) => Ok((lengths, values)),
            Column::Scalars(_) => Err(PyKeyError::new_err(format!("{element}.{property} holds no lists"))),
        }
    }
}

fn texts<'py>(py: Python<'py>, texts: &[Vec<u8>]) -> Vec<Bound<'py, PyBytes>> {
    texts.iter().map(|text| PyBytes::new(py, text)).collect()
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
    Ok(PlyFile { ply: ply.ok_or_else(binary)?, source: source.to_owned() })
}
