# SPDX-License-Identifier: Apache-2.0
"""Readers and writers of mesh and point-cloud files."""

from patina3d.io.obj_io import load_obj, load_objs_as_meshes, save_obj

__all__ = ["load_obj", "load_objs_as_meshes", "save_obj"]
