# SPDX-License-Identifier: Apache-2.0
"""A panic in Rust arrives as an exception that `except Exception` catches."""

import pytest

from patina3d.core import _native


@pytest.mark.skipif(not _native.has_emulator(), reason="only builds with the emulator can panic on request")
def test_a_panic_is_a_runtime_error():
    with pytest.raises(RuntimeError, match="panic: internal error: the reason"):
        _native.panic("the reason")
