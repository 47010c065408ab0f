# SPDX-License-Identifier: Apache-2.0
"""Batches of point clouds."""

from patina3d.structures.pointclouds.join import join_pointclouds_as_batch, join_pointclouds_as_scene
from patina3d.structures.pointclouds.pointclouds import Pointclouds

__all__ = ["Pointclouds", "join_pointclouds_as_batch", "join_pointclouds_as_scene"]
