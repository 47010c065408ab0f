# SPDX-License-Identifier: Apache-2.0
"""What every part of the library shares: device names and small helpers."""

from patina3d.common.datatypes import Device, get_device, make_device

__all__ = ["Device", "get_device", "make_device"]
