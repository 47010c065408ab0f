# SPDX-License-Identifier: Apache-2.0
"""Operators on points and meshes."""

from patina3d.ops.knn import knn_gather, knn_points

__all__ = ["knn_gather", "knn_points"]
