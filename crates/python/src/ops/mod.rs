// SPDX-License-Identifier: Apache-2.0
//! `_native.ops`.

mod ball_query;
mod chamfer;
mod interp_face_attrs;
mod knn;
mod mesh_face_areas_normals;
mod packed_to_padded;
mod point_index;
mod points_to_volumes;
mod sample_farthest_points;
mod sample_points_from_meshes;

use pyo3::prelude::*;

/// Operators on points and meshes.
#[pymodule]
pub(crate) mod ops {
    #[pymodule_export]
    use super::ball_query::{ball_query_forward, ball_query_gather};
    #[pymodule_export]
    use super::chamfer::{chamfer_backward, chamfer_forward};
    #[pymodule_export]
    use super::interp_face_attrs::{interp_face_attrs_backward, interp_face_attrs_forward};
    #[pymodule_export]
    use super::knn::{knn_backward, knn_forward};
    #[pymodule_export]
    use super::mesh_face_areas_normals::{mesh_face_areas_normals_backward, mesh_face_areas_normals_forward};
    #[pymodule_export]
    use super::packed_to_padded::{packed_to_padded, padded_to_packed};
    #[pymodule_export]
    use super::point_index::point_index_forward;
    #[pymodule_export]
    use super::points_to_volumes::{points_to_volumes_backward, points_to_volumes_forward};
    #[pymodule_export]
    use super::sample_farthest_points::sample_farthest_points;
    #[pymodule_export]
    use super::sample_points_from_meshes::{sample_points_from_meshes_backward, sample_points_from_meshes_forward};
}
