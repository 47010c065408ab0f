# SPDX-License-Identifier: Apache-2.0
"""Damaged files: what a reader may refuse, but never crash or hang on."""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of a file with a few bytes changed, cut out, doubled or put in, or with its end cut off."""
    generator = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            at, length = generator.randrange(len(damaged) + 1), generator.randint(1, 12)
            kind = generator.randrange(6)
            if kind == 0:
                damaged[at : at + 1] = bytes([generator.randrange(256)])
            elif kind == 1:
                del damaged[at : at + length]
            elif kind == 2:
                damaged[at:at] = damaged[at : at + length]
            elif kind == 3:
                del damaged[at:]
            elif kind == 4:
                damaged[at : at + 1] = str(generator.choice([-1, 0, 1, 2**31, 2**63, "nan", "1e999"])).encode()
            else:
                damaged[at : at + 4] = generator.choice([0, 1, 2**31 - 1, 2**32 - 1]).to_bytes(4, "little")
        yield bytes(damaged)


def outcomes(read: Callable[[bytes], Any], data: bytes, count: int, errors: str) -> set[type]:
    """What comes of reading damaged files: types of results, and ValueError where one is refused.

    Args:
        read: the reader.
        data: a file that is not damaged.
        count: how many damaged ones to try.
        errors: a pattern that messages must begin with.
    """
    found = set()
    for damaged in mutations(data, count):
        try:
            result = read(damaged)
        except ValueError as error:
            if not re.match(errors, str(error)):
                raise
            result = error
        found.add(ValueError if isinstance(result, ValueError) else type(result))
    return found
