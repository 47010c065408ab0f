// SPDX-License-Identifier: Apache-2.0
//! Operators on points and meshes. The list of operators is this file; each is a folder with its contract (`mod.rs`),
//! its CPU loop (`cpu.rs`), its launcher (`cuda.rs`) and its kernels (`.cu`).

pub mod ball_query;
pub mod chamfer;
pub mod interp_face_attrs;
pub mod knn;
pub mod mesh_face_areas_normals;
pub mod packed_to_padded;
pub mod point_index;
pub mod points_to_volumes;
pub mod sample_farthest_points;
pub mod sample_points_from_meshes;
