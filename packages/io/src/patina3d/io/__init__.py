# SPDX-License-Identifier: Apache-2.0
"""Readers and writers of mesh and point-cloud files."""

from patina3d.io.obj_io import load_obj, load_objs_as_meshes, save_obj
from patina3d.io.pluggable import IO
from patina3d.io.ply_io import load_ply, save_ply

__all__ = ["IO", "load_obj", "load_objs_as_meshes", "load_ply", "save_obj", "save_ply"]
