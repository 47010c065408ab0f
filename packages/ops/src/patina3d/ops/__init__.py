# SPDX-License-Identifier: Apache-2.0
"""Operators on points and meshes."""

from patina3d.ops.ball_query import ball_query
from patina3d.ops.cameras_alignment import corresponding_cameras_alignment
from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.ops.knn import knn_gather, knn_points
from patina3d.ops.laplacian_matrices import cot_laplacian, laplacian, norm_laplacian
from patina3d.ops.mesh_face_areas_normals import mesh_face_areas_normals
from patina3d.ops.packed_to_padded import packed_to_padded, padded_to_packed
from patina3d.ops.perspective_n_points import efficient_pnp
from patina3d.ops.point_index import PointIndex
from patina3d.ops.points_alignment import corresponding_points_alignment, iterative_closest_point
from patina3d.ops.points_normals import estimate_pointcloud_local_coord_frames, estimate_pointcloud_normals
from patina3d.ops.points_to_volumes import (
    add_pointclouds_to_volumes,
    add_points_features_to_volume_densities_features,
)
from patina3d.ops.sample_farthest_points import sample_farthest_points, sample_farthest_points_naive
from patina3d.ops.sample_points_from_meshes import sample_points_from_meshes
from patina3d.ops.utils import (
    convert_pointclouds_to_tensor,
    eyes,
    get_point_covariances,
    is_pointclouds,
    wmean,
)

__all__ = [
    "PointIndex",
    "add_pointclouds_to_volumes",
    "add_points_features_to_volume_densities_features",
    "ball_query",
    "convert_pointclouds_to_tensor",
    "corresponding_cameras_alignment",
    "corresponding_points_alignment",
    "cot_laplacian",
    "efficient_pnp",
    "estimate_pointcloud_local_coord_frames",
    "estimate_pointcloud_normals",
    "eyes",
    "get_point_covariances",
    "interpolate_face_attributes",
    "is_pointclouds",
    "iterative_closest_point",
    "knn_gather",
    "knn_points",
    "laplacian",
    "mesh_face_areas_normals",
    "norm_laplacian",
    "packed_to_padded",
    "padded_to_packed",
    "sample_farthest_points",
    "sample_farthest_points_naive",
    "sample_points_from_meshes",
    "wmean",
]
