// SPDX-License-Identifier: Apache-2.0
//! The writer: one pass over the arrays.

use super::ABSENT;
use crate::error::{Error, Result};
use crate::number::{push_fixed, push_integer};

/// What an OBJ file is to hold. All indices count from 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mesh<'a> {
    /// What stands before the first vertex.
    pub header: &'a [u8],
    /// Positions.
    pub verts: &'a [[f64; 3]],
    /// A colour for each vertex, behind its position: not in the format, but read and written by many programs.
    pub colors: Option<&'a [[f64; 3]]>,
    /// Normals.
    pub normals: &'a [[f64; 3]],
    /// Texture coordinates.
    pub uvs: &'a [[f64; 2]],
    /// Triangles into `verts`.
    pub faces: &'a [[i64; 3]],
    /// Triangles into `normals`, one for each face; a face without normals is all [`ABSENT`].
    pub faces_normals: Option<&'a [[i64; 3]]>,
    /// Triangles into `uvs`, one for each face; a face without texture coordinates is all [`ABSENT`].
    pub faces_uvs: Option<&'a [[i64; 3]]>,
}

/// Appends the text of an OBJ file to `out`, numbers with `decimal_places` digits after the point (at most
/// [`MOST_DECIMAL_PLACES`](crate::MOST_DECIMAL_PLACES)). There is no line end after the last face.
///
/// # Errors
/// `faces_normals` or `faces_uvs` with another number of triangles than `faces`; `colors` of another number than `verts`.
pub fn write(mesh: &Mesh, decimal_places: usize, out: &mut Vec<u8>) -> Result<()> {
    for (triangles, name) in [(mesh.faces_normals, "faces_normals"), (mesh.faces_uvs, "faces_uvs")] {
        if let Some(triangles) = triangles
            && triangles.len() != mesh.faces.len()
        {
            let (got, expected) = (triangles.len(), mesh.faces.len());
            return Err(Error::new(
                "obj",
                format!("{name} must have one triangle for each face, {expected}, got {got}"),
            ));
        }
    }
    if let Some(colors) = mesh.colors
        && colors.len() != mesh.verts.len()
    {
        let (expected, got) = (mesh.verts.len(), colors.len());
        return Err(Error::new("obj", format!("there must be a colour for each vertex, {expected}, got {got}")));
    }
    out.extend_from_slice(mesh.header);
    match mesh.colors {
        None => push_rows(b"v", mesh.verts, decimal_places, out),
        Some(colors) => {
            for (position, color) in mesh.verts.iter().zip(colors) {
                push_row(b"v", position.iter().chain(color), decimal_places, out);
            }
        }
    }
    push_rows(b"vn", mesh.normals, decimal_places, out);
    push_rows(b"vt", mesh.uvs, decimal_places, out);
    for (face, verts) in mesh.faces.iter().enumerate() {
        let normals = mesh.faces_normals.map(|faces| faces[face]).filter(|corners| corners != &[ABSENT; 3]);
        let uvs = mesh.faces_uvs.map(|faces| faces[face]).filter(|corners| corners != &[ABSENT; 3]);
        if face > 0 {
            out.push(b'\n');
        }
        out.push(b'f');
        for corner in 0..3 {
            out.push(b' ');
            push_from_one(verts[corner], out);
            if let Some(uvs) = uvs {
                out.push(b'/');
                push_from_one(uvs[corner], out);
            }
            if let Some(normals) = normals {
                out.extend_from_slice(if uvs.is_some() { b"/" } else { b"//" });
                push_from_one(normals[corner], out);
            }
        }
    }
    Ok(())
}

fn push_rows<const N: usize>(keyword: &[u8], rows: &[[f64; N]], decimal_places: usize, out: &mut Vec<u8>) {
    for row in rows {
        push_row(keyword, row, decimal_places, out);
    }
}

fn push_row<'a>(keyword: &[u8], row: impl IntoIterator<Item = &'a f64>, decimal_places: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(keyword);
    for &value in row {
        out.push(b' ');
        push_fixed(value, decimal_places, out);
    }
    out.push(b'\n');
}

fn push_from_one(index: i64, out: &mut Vec<u8>) {
    push_integer(index.saturating_add(1), out);
}
