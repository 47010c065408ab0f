# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of triangles, for those who look here: `Meshes` needs them, so they are at home beside it."""

from patina3d.structures.mesh_face_areas_normals import mesh_face_areas_normals

__all__ = ["mesh_face_areas_normals"]
