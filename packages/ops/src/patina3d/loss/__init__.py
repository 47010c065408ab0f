# SPDX-License-Identifier: Apache-2.0
"""Losses on points and meshes."""

from patina3d.loss.chamfer import chamfer_distance
from patina3d.loss.mesh_edge_loss import mesh_edge_loss
from patina3d.loss.mesh_laplacian_smoothing import mesh_laplacian_smoothing
from patina3d.loss.mesh_normal_consistency import mesh_normal_consistency

__all__ = ["chamfer_distance", "mesh_edge_loss", "mesh_laplacian_smoothing", "mesh_normal_consistency"]
