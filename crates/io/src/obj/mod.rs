// SPDX-License-Identifier: Apache-2.0
//! Wavefront OBJ: polygons with texture coordinates, normals and materials, as text.
//!
//! [`read`] understands the polygonal part of the format: `v`, `vt`, `vn`, `f`, `usemtl`, `mtllib`, comments, joined
//! lines, relative indices. Other statements (groups, smoothing, lines, points, curves) are passed over.

mod read;
mod write;

pub use read::read;
pub use write::{Mesh, write};

/// What a face without a texture coordinate, normal or material has in place of an index.
pub const ABSENT: i64 = -1;

/// The content of an OBJ file. All indices count from 0; they may lie outside their array when the file says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Obj {
    /// `v`: positions.
    pub verts: Vec<[f32; 3]>,
    /// The fourth to sixth number of `v`, which many programs write: the colour of each vertex, or none at all when one
    /// vertex lacks it.
    pub colors: Vec<[f32; 3]>,
    /// `vn`: normals, as written (not normalised).
    pub normals: Vec<[f32; 3]>,
    /// `vt`: texture coordinates, v upwards.
    pub uvs: Vec<[f32; 2]>,
    /// `f`: triangles into `verts`; a polygon is split into the fan around its first corner.
    pub faces: Vec<[i64; 3]>,
    /// Triangles into `normals`, [`ABSENT`] where a face has none; empty when no face has any.
    pub faces_normals: Vec<[i64; 3]>,
    /// Triangles into `uvs`, [`ABSENT`] where a face has none; empty when no face has any.
    pub faces_uvs: Vec<[i64; 3]>,
    /// The material of each face, into `materials`, [`ABSENT`] before the first `usemtl`; empty when no face has any.
    pub faces_materials: Vec<i64>,
    /// The names that `usemtl` gives, in order of first use, in the bytes of the file.
    pub materials: Vec<Vec<u8>>,
    /// What follows each `mtllib`: one or more file names, in the bytes of the file.
    pub libraries: Vec<Vec<u8>>,
}
