# SPDX-License-Identifier: Apache-2.0
"""The native core of Patina3D: operators for CPU and CUDA tensors in one module, without libtorch and libcudart.

Importing this package never touches CUDA: the driver is opened when the first CUDA tensor arrives, or by
:func:`doctor`.
"""

import os as _os

from patina3d.core import _native
from patina3d.core._native import DeviceError
from patina3d.core.at_hand import at_hand
from patina3d.core.doctor import doctor
from patina3d.core.registration import is_differentiated, register

__all__ = ["DeviceError", "at_hand", "doctor", "is_differentiated", "register"]

if _os.environ.get("PATINA3D_EMULATE_CUDA") == "1":
    _native.emulate(True)
