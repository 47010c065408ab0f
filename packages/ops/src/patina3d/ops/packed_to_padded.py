# SPDX-License-Identifier: Apache-2.0
"""Between the packed and the padded form, for those who look here: batches need it, so it is at home beside them."""

from patina3d.structures.packed_to_padded import packed_to_padded, padded_to_packed

__all__ = ["packed_to_padded", "padded_to_packed"]
