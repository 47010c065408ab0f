# SPDX-License-Identifier: Apache-2.0
"""Batches of voxel grids, and where their voxels are."""

from patina3d.structures.volumes.locator import VolumeLocator
from patina3d.structures.volumes.volumes import Volumes

__all__ = ["VolumeLocator", "Volumes"]
