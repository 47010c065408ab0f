// SPDX-License-Identifier: Apache-2.0
//! The writer: a mesh or a cloud of points.

use super::header::Format;
use crate::error::{Error, Result};
use crate::number::{push_fixed, push_integer};

/// What a PLY file is to hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mesh<'a> {
    /// Positions.
    pub verts: &'a [[f64; 3]],
    /// A normal for each vertex.
    pub normals: Option<&'a [[f64; 3]]>,
    /// A colour for each vertex.
    pub colors: Option<Colors<'a>>,
    /// Triangles into `verts`, counted from 0; without them there is no `face` element.
    pub faces: Option<&'a [[i64; 3]]>,
}

/// Red, green and blue of each vertex.
#[derive(Clone, Copy, Debug)]
pub enum Colors<'a> {
    /// As type `float`.
    Float(&'a [[f64; 3]]),
    /// As type `uchar`.
    UInt8(&'a [[u8; 3]]),
}

impl Colors<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Float(rows) => rows.len(),
            Self::UInt8(rows) => rows.len(),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::UInt8(_) => "uchar",
        }
    }
}

/// Appends a PLY file to `out`: vertices of type `float`, faces as lists of `int` of `uchar` length. As text, numbers
/// have `decimal_places` digits after the point (at most [`MOST_DECIMAL_PLACES`](crate::MOST_DECIMAL_PLACES)).
///
/// # Errors
/// `normals` or `colors` of another number than `verts`; an index that is no 32-bit integer.
pub fn write(mesh: &Mesh, format: Format, decimal_places: usize, out: &mut Vec<u8>) -> Result<()> {
    let lengths = [("normal", mesh.normals.map(<[_]>::len)), ("colour", mesh.colors.map(|colors| colors.len()))];
    for (what, length) in lengths {
        if let Some(got) = length
            && got != mesh.verts.len()
        {
            let expected = mesh.verts.len();
            return Err(Error::new("ply", format!("there must be a {what} for each vertex, {expected}, got {got}")));
        }
    }
    push_header(mesh, format, out);
    let mut record = Record { format, decimal_places, out, is_new: true };
    for (vertex, position) in mesh.verts.iter().enumerate() {
        record.push_floats(position);
        if let Some(normals) = mesh.normals {
            record.push_floats(&normals[vertex]);
        }
        match mesh.colors {
            Some(Colors::Float(colors)) => record.push_floats(&colors[vertex]),
            Some(Colors::UInt8(colors)) => colors[vertex].iter().for_each(|&channel| record.push_byte(channel)),
            None => {}
        }
        record.end();
    }
    for (face, corners) in mesh.faces.unwrap_or_default().iter().enumerate() {
        record.push_byte(3);
        for &index in corners {
            let Ok(index) = i32::try_from(index) else {
                let problem = format!("an index must be a 32-bit integer, got {index} in face {face}");
                return Err(Error::new("ply", problem));
            };
            record.push_index(index);
        }
        record.end();
    }
    Ok(())
}

fn push_header(mesh: &Mesh, format: Format, out: &mut Vec<u8>) {
    let mut push = |line: &str| {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    };
    push("ply");
    push(&format!("format {} 1.0", format.name()));
    push(&format!("element vertex {}", mesh.verts.len()));
    let normals: &[&str] = if mesh.normals.is_some() { &["nx", "ny", "nz"] } else { &[] };
    for name in ["x", "y", "z"].iter().chain(normals) {
        push(&format!("property float {name}"));
    }
    if let Some(colors) = mesh.colors {
        for name in ["red", "green", "blue"] {
            push(&format!("property {} {name}", colors.type_name()));
        }
    }
    if let Some(faces) = mesh.faces {
        push(&format!("element face {}", faces.len()));
        push("property list uchar int vertex_index");
    }
    push("end_header");
}

/// The record that is being written: words of a line, or packed values.
struct Record<'a> {
    format: Format,
    decimal_places: usize,
    out: &'a mut Vec<u8>,
    is_new: bool,
}

impl Record<'_> {
    #[inline]
    fn push_floats(&mut self, values: &[f64]) {
        for &value in values {
            if self.format == Format::Ascii {
                self.separate();
                push_fixed(value, self.decimal_places, self.out);
            } else {
                self.push_packed((value as f32).to_le_bytes());
            }
        }
    }

    #[inline]
    fn push_byte(&mut self, value: u8) {
        if self.format == Format::Ascii {
            self.separate();
            push_integer(value.into(), self.out);
        } else {
            self.out.push(value);
        }
    }

    #[inline]
    fn push_index(&mut self, index: i32) {
        if self.format == Format::Ascii {
            self.separate();
            push_integer(index.into(), self.out);
        } else {
            self.push_packed(index.to_le_bytes());
        }
    }

    fn separate(&mut self) {
        if !self.is_new {
            self.out.push(b' ');
        }
        self.is_new = false;
    }

    #[inline]
    fn push_packed(&mut self, mut little_endian: [u8; 4]) {
        if self.format == Format::BinaryBigEndian {
            little_endian.reverse();
        }
        self.out.extend_from_slice(&little_endian);
    }

    fn end(&mut self) {
        if self.format == Format::Ascii {
            self.out.push(b'\n');
        }
        self.is_new = true;
    }
}
