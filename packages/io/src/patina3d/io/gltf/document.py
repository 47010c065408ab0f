# SPDX-License-Identifier: Apache-2.0
"""The JSON objects of a glTF document, asked for by type: what is wrong is an error that says where."""

from collections.abc import Sequence
from typing import Any

__all__ = ["Entry"]

_REQUIRED: Any = object()


class Entry:
    """A JSON object, and where it stands in the document.

    Args:
        values: the object.
        path: where it stands, such as "accessors[3]"; "" for the whole document.
        source: name of the file.
    """

    def __init__(self, values: Any, path: str, source: str) -> None:
        self.path = path
        self.source = source
        if not isinstance(values, dict):
            raise self.error(f"must be an object, got {_shown(values)}")
        self._values: dict[str, Any] = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> list[str]:
        """The names of what is there."""
        return list(self._values)

    def error(self, message: str) -> ValueError:
        """The error to raise about this object."""
        return ValueError(f"load_meshes: {self.source}: {self.path or 'document'}: {message}")

    def integer(self, key: str, default: Any = _REQUIRED, *, below: int | None = None) -> int:
        """A whole number that is not negative; ``below``: the size of the array that it is an index of."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(f"{key} must be an integer >= 0, got {_shown(value)}")
        if below is not None and value >= below:
            raise self.error(f"{key} is {value}, but there are {below}")
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """A string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key} must be a string, got {_shown(value)}")
        return value

    def flag(self, key: str) -> bool:
        """Whether ``key`` is there and true."""
        value = self._get(key, default=False)
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, got {_shown(value)}")
        return value

    def number(self, key: str, default: float) -> float:
        """A number."""
        value = self._get(key, default)
        if not _is_number(value):
            raise self.error(f"{key} must be a number, got {_shown(value)}")
        return float(value)

    def numbers(self, key: str, default: Sequence[float]) -> list[float]:
        """As many numbers as ``default`` has."""
        values = self._get(key, list(default))
        if not isinstance(values, list) or len(values) != len(default) or not all(map(_is_number, values)):
            raise self.error(f"{key} must be {len(default)} numbers, got {_shown(values)}")
        return [float(value) for value in values]

    def strings(self, key: str) -> list[str]:
        """An array of strings; empty where it is missing."""
        values = self._array(key)
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"{key} must hold strings, got {_shown(values)}")
        return values

    def indices(self, key: str, below: int) -> list[int]:
        """An array of indices of an array of size ``below``; empty where it is missing."""
        return [Entry({key: value}, self.path, self.source).integer(key, below=below) for value in self._array(key)]

    def entry(self, key: str) -> "Entry | None":
        """An object; None where it is missing."""
        return Entry(self._values[key], self._path_of(key), self.source) if key in self._values else None

    def entries(self, key: str) -> "list[Entry]":
        """An array of objects; empty where it is missing."""
        return [Entry(value, f"{self._path_of(key)}[{i}]", self.source) for i, value in enumerate(self._array(key))]

    def element(self, key: str, index: int) -> "Entry":
        """One object of an array."""
        return Entry(self._array(key)[index], f"{self._path_of(key)}[{index}]", self.source)

    def count(self, key: str) -> int:
        """The size of an array; 0 where it is missing."""
        return len(self._array(key))

    def _array(self, key: str) -> list[Any]:
        values = self._get(key, [])
        if not isinstance(values, list):
            raise self.error(f"{key} must be an array, got {_shown(values)}")
        return values

    def _get(self, key: str, default: Any) -> Any:
        value = self._values.get(key, default)
        if value is _REQUIRED:
            raise self.error(f"{key} is missing")
        return value

    def _path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
