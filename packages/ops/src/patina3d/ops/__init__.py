# SPDX-License-Identifier: Apache-2.0
"""Operators on points and meshes."""

from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.ops.knn import knn_gather, knn_points
from patina3d.ops.laplacian_matrices import cot_laplacian, laplacian, norm_laplacian
from patina3d.ops.sample_points_from_meshes import sample_points_from_meshes

__all__ = [
    "cot_laplacian",
    "interpolate_face_attributes",
    "knn_gather",
    "knn_points",
    "laplacian",
    "norm_laplacian",
    "sample_points_from_meshes",
]
