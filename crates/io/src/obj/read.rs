// SPDX-License-Identifier: Apache-2.0
//! The reader: one pass over the bytes.

use std::collections::HashMap;

use super::{ABSENT, Obj};
use crate::error::{Error, Result};
use crate::statement::Cursor;

/// Reads an OBJ file.
///
/// A negative index counts back from the elements read so far. An index past the end of its array is kept as it is:
/// only the caller can tell whether that matters.
///
/// # Errors
/// A statement with too few numbers, a word that is not a number or an index, an index of 0, a negative index that
/// reaches before the first element, a face whose corners differ in form, `usemtl` or `mtllib` without a name.
pub fn read(bytes: &[u8]) -> Result<Obj> {
    let mut cursor = Cursor::new("obj", bytes);
    let mut obj = Obj::default();
    let mut materials = Materials::default();
    let mut corners = Corners::default();
    while !cursor.at_end() {
        if cursor.next_word() {
            match cursor.word() {
                b"v" => {
                    obj.verts.push(cursor.numbers("vertex")?);
                    if cursor.next_word() {
                        read_color(&mut cursor, &mut obj);
                    }
                }
                b"vt" => obj.uvs.push(cursor.numbers("texture coordinate")?),
                b"vn" => obj.normals.push(cursor.numbers("normal")?),
                b"f" => {
                    corners.read(&mut cursor, &obj)?;
                    corners.push_fan(&mut obj);
                }
                b"usemtl" => {
                    let name = cursor.name("usemtl needs the name of a material")?;
                    materials.change(name, &mut obj);
                }
                b"mtllib" => obj.libraries.push(cursor.name("mtllib needs a file name")?.to_vec()),
                _ => {}
            }
        }
        cursor.end_statement();
    }
    if !obj.materials.is_empty() {
        materials.fill(&mut obj);
    }
    if obj.colors.len() != obj.verts.len() {
        obj.colors = Vec::new();
    }
    for optional in [&mut obj.faces_normals, &mut obj.faces_uvs] {
        if !optional.is_empty() {
            optional.resize(obj.faces.len(), [ABSENT; 3]);
        }
    }
    Ok(obj)
}

/// What follows a position: one or two numbers (a weight) are passed over, three or more begin with a colour.
fn read_color(cursor: &mut Cursor, obj: &mut Obj) {
    let mut color = [0.0; 3];
    for (i, channel) in color.iter_mut().enumerate() {
        if i > 0 && !cursor.next_word() {
            return;
        }
        let Some(value) = cursor.number() else { return };
        *channel = value;
    }
    // After a vertex without a colour the two columns never have the same length again.
    if obj.colors.len() + 1 == obj.verts.len() {
        obj.colors.push(color);
    }
}

/// The materials met so far, and the current one.
#[derive(Default)]
struct Materials {
    index: HashMap<Vec<u8>, i64>,
    current: Option<i64>,
}

impl Materials {
    fn change(&mut self, name: &[u8], obj: &mut Obj) {
        self.fill(obj);
        self.current = Some(if let Some(&index) = self.index.get(name) {
            index
        } else {
            let index = obj.materials.len() as i64;
            obj.materials.push(name.to_vec());
            self.index.insert(name.to_vec(), index);
            index
        });
    }

    /// Gives the current material to all faces since the last change.
    fn fill(&self, obj: &mut Obj) {
        obj.faces_materials.resize(obj.faces.len(), self.current.unwrap_or(ABSENT));
    }
}

/// The corners of one face, column by column; kept between faces for its memory.
#[derive(Default)]
struct Corners {
    verts: Vec<i64>,
    uvs: Vec<i64>,
    normals: Vec<i64>,
}

impl Corners {
    /// Reads `v`, `v/vt`, `v//vn` or `v/vt/vn` up to the end of the statement.
    #[inline]
    fn read(&mut self, cursor: &mut Cursor, obj: &Obj) -> Result<()> {
        self.verts.clear();
        self.uvs.clear();
        self.normals.clear();
        while cursor.next_word() {
            let start = cursor.position();
            let Some(vert) = cursor.integer() else { return Err(malformed(cursor, start)) };
            self.verts.push(from_zero(cursor, vert, obj.verts.len(), "vertex")?);
            if cursor.slash() {
                if let Some(uv) = cursor.integer() {
                    self.uvs.push(from_zero(cursor, uv, obj.uvs.len(), "texture coordinate")?);
                }
                if cursor.slash()
                    && let Some(normal) = cursor.integer()
                {
                    self.normals.push(from_zero(cursor, normal, obj.normals.len(), "normal")?);
                }
            }
            if !cursor.is_word_over() {
                return Err(malformed(cursor, start));
            }
        }
        for (indices, what) in [(&self.uvs, "texture coordinate"), (&self.normals, "normal")] {
            if !indices.is_empty() && indices.len() != self.verts.len() {
                let (some, all) = (indices.len(), self.verts.len());
                return Err(cursor.error(format!(
                    "Vertex properties are inconsistent: {some} of the {all} corners of a face have a {what}"
                )));
            }
        }
        Ok(())
    }

    /// Appends the triangles (0, 1, 2), (0, 2, 3), ... of the face.
    #[inline]
    fn push_fan(&self, obj: &mut Obj) {
        let first = obj.faces.len();
        extend_with_fan(&mut obj.faces, &self.verts);
        for (triangles, corners) in [(&mut obj.faces_uvs, &self.uvs), (&mut obj.faces_normals, &self.normals)] {
            if corners.len() >= 3 {
                triangles.resize(first, [ABSENT; 3]);
                extend_with_fan(triangles, corners);
            }
        }
    }
}

#[cold]
fn malformed(cursor: &Cursor, start: usize) -> Error {
    let corner = cursor.quoted_word(start);
    let forms = "integers in the form v, v/vt, v//vn or v/vt/vn";
    cursor.error(format!("Face vertices can only have 3 properties, {forms}, got {corner}"))
}

/// A 1-based or relative index as one that counts from 0.
#[inline]
fn from_zero(cursor: &Cursor, index: i64, count: usize, what: &str) -> Result<i64> {
    if index > 0 {
        return Ok(index - 1);
    }
    let from_end = count as i64 + index;
    if index == 0 {
        Err(cursor.error(format!("a face has {what} index 0, but indices count from 1")))
    } else if from_end < 0 {
        Err(cursor.error(format!("a face has {what} index {index}, but only {count} precede it")))
    } else {
        Ok(from_end)
    }
}

#[inline]
fn extend_with_fan(triangles: &mut Vec<[i64; 3]>, corners: &[i64]) {
    if let [first, rest @ ..] = corners {
        for pair in rest.windows(2) {
            triangles.push([*first, pair[0], pair[1]]);
        }
    }
}
