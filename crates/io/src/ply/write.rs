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
    /// Triangles into `verts`, counted from 0; without them there is no `face` element.
    pub faces: Option<&'a [[i64; 3]]>,
}

/// Appends a PLY file to `out`: vertices of type `float`, faces as lists of `int` of `uchar` length. As text, numbers
/// have `decimal_places` digits after the point (at most [`MOST_DECIMAL_PLACES`](crate::MOST_DECIMAL_PLACES)).
///
/// # Errors
/// `normals` of another number than `verts`; an index that is no 32-bit integer.
pub fn write(mesh: &Mesh, format: Format, decimal_places: usize, out: &mut Vec<u8>) -> Result<()> {
    if let Some(normals) = mesh.normals
        && normals.len() != mesh.verts.len()
    {
        let (expected, got) = (mesh.verts.len(), normals.len());
        return Err(Error::new("ply", format!("there must be a normal for each vertex, {expected}, got {got}")));
    }
    push_header(mesh, format, out);
    for vertex in 0..mesh.verts.len() {
        let normal = mesh.normals.map(|normals| &normals[vertex]);
        let values = mesh.verts[vertex].iter().chain(normal.into_iter().flatten());
        if format == Format::Ascii {
            for (column, &value) in values.enumerate() {
                if column > 0 {
                    out.push(b' ');
                }
                push_fixed(value, decimal_places, out);
            }
            out.push(b'\n');
        } else {
            values.for_each(|&value| push_packed((value as f32).to_le_bytes(), format, out));
        }
    }
    for (face, corners) in mesh.faces.unwrap_or_default().iter().enumerate() {
        out.push(if format == Format::Ascii { b'3' } else { 3 });
        for &index in corners {
            let Ok(index) = i32::try_from(index) else {
                let problem = format!("an index must be a 32-bit integer, got {index} in face {face}");
                return Err(Error::new("ply", problem));
            };
            if format == Format::Ascii {
                out.push(b' ');
                push_integer(index.into(), out);
            } else {
                push_packed(index.to_le_bytes(), format, out);
            }
        }
        if format == Format::Ascii {
            out.push(b'\n');
        }
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
    if let Some(faces) = mesh.faces {
        push(&format!("element face {}", faces.len()));
        push("property list uchar int vertex_index");
    }
    push("end_header");
}

#[inline]
fn push_packed(mut little_endian: [u8; 4], format: Format, out: &mut Vec<u8>) {
    if format == Format::BinaryBigEndian {
        little_endian.reverse();
    }
    out.extend_from_slice(&little_endian);
}
