# SPDX-License-Identifier: Apache-2.0
"""Rows of numbers as lines of text, and back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

__all__ = ["Line", "common_length", "format_rows", "lines_of", "parsed"]

_Number = TypeVar("_Number", int, float)


class Line(NamedTuple):
    """A line that says something. Its text is kept rather than its words, as Python is slow with many lists."""

    number: int
    """From 1."""
    text: str
    """Without blanks at both ends; at least one word."""

    @property
    def words(self) -> list[str]:
        """What stands between blanks."""
        return self.text.split()


def lines_of(data: bytes, *, comment: str | None = None) -> Iterator[Line]:
    """The lines that hold a word; what follows ``comment`` in a line is passed over."""
    # Bytes that are not ASCII are in no word that is understood, whichever character they stand for.
    text = data.decode("latin-1")
    has_comments = comment is not None and comment in text
    for number, line in enumerate(text.split("\n"), start=1):
        text = (line.partition(comment)[0] if has_comments and comment else line).strip()
        if text:
            yield Line(number, text)


def parsed(
    kind: type[_Number], texts: Sequence[str], lines: Sequence[Line], error: Callable[[Line, str], Exception]
) -> list[_Number]:
    """The numbers that parts of some lines spell, in one list.

    Args:
        kind: ``int`` or ``float``.
        texts: of each line, the part to read.
        lines: where they come from.
        error: makes the exception from a line and what is wrong there.
    """
    joined = " ".join(texts)
    # Python reads 1_000 and digits of other scripts, which no file format has.
    if "_" not in joined and joined.isascii():
        with suppress(ValueError):
            return list(map(kind, joined.split()))
    expected = "an integer" if kind is int else "a number"
    for text, line in zip(texts, lines, strict=True):
        for word in text.split():
            if not _spells(kind, word):
                raise error(line, f"must be {expected}, got {word[:40]!r}")
    return list(map(kind, joined.split()))


def _spells(kind: type[Any], word: str) -> bool:
    try:
        kind(word)
    except ValueError:
        return False
    return "_" not in word and word.isascii()


def common_length(lines: Sequence[Line]) -> int | None:
    """The number of words that all lines have; None where they differ, or there are none."""
    lengths = set(map(len, map(str.split, (line.text for line in lines))))
    return lengths.pop() if len(lengths) == 1 else None


def format_rows(form: str, rows: Tensor) -> str:
    """Each row of (R, C) by a form with C places, such as ``%f %f``."""
    return form * len(rows) % tuple(rows.flatten().tolist())
