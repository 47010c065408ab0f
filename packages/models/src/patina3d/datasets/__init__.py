# SPDX-License-Identifier: Apache-2.0
"""Datasets of meshes."""

__all__: list[str] = []
