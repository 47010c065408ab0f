# SPDX-License-Identifier: Apache-2.0
"""Figures of meshes, point clouds, cameras and textures."""
