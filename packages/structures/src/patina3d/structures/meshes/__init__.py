# SPDX-License-Identifier: Apache-2.0
"""Batches of triangle meshes."""

from patina3d.structures.meshes.join import join_meshes_as_batch, join_meshes_as_scene
from patina3d.structures.meshes.meshes import Meshes

__all__ = ["Meshes", "join_meshes_as_batch", "join_meshes_as_scene"]
