# SPDX-License-Identifier: Apache-2.0
"""Small dense linear algebra, for large batches on any device."""

from patina3d.common.workaround.det3x3 import _safe_det_3x3
from patina3d.common.workaround.symeig3x3 import symeig3x3

__all__ = ["_safe_det_3x3", "symeig3x3"]
