# SPDX-License-Identifier: Apache-2.0
"""Operators on points and meshes."""

from patina3d.ops.ball_query import ball_query
from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.ops.knn import knn_gather, knn_points
from patina3d.ops.laplacian_matrices import cot_laplacian, laplacian, norm_laplacian
from patina3d.ops.mesh_face_areas_normals import mesh_face_areas_normals
from patina3d.ops.packed_to_padded import packed_to_padded, padded_to_packed
from patina3d.ops.point_index import PointIndex
from patina3d.ops.sample_points_from_meshes import sample_points_from_meshes
from patina3d.ops.utils import convert_pointclouds_to_tensor, eyes, is_pointclouds, wmean

__all__ = [
    "PointIndex",
    "ball_query",
    "convert_pointclouds_to_tensor",
    "cot_laplacian",
    "eyes",
    "interpolate_face_attributes",
    "is_pointclouds",
    "knn_gather",
    "knn_points",
    "laplacian",
    "mesh_face_areas_normals",
    "norm_laplacian",
    "packed_to_padded",
    "padded_to_packed",
    "sample_points_from_meshes",
    "wmean",
]
