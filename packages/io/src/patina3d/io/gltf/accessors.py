# SPDX-License-Identifier: Apache-2.0
"""Arrays out of the buffers of a glTF document."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patina3d.io.gltf.container import Container
from patina3d.io.gltf.document import Entry

__all__ = ["COMPONENT_TYPES", "read_floats", "read_integers"]

COMPONENT_TYPES = {
    5120: np.dtype("i1"),
    5121: np.dtype("u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_STRIDES = range(4, 253)


def read_floats(container: Container, entry: Entry, key: str, widths: tuple[int, ...]) -> NDArray[np.float32]:
    """The accessor that ``entry[key]`` names, as (count, width) of float32; normalised integers become fractions.

    Args:
        container: the document.
        entry: what refers to the accessor.
        key: under which name.
        widths: the numbers of components that are allowed.
    """
    accessor = _accessor(container, entry, key)
    values = _values(container, accessor)
    if values.shape[1] not in widths:
        raise accessor.error(f"must have {' or '.join(map(str, widths))} components as {key}, got {values.shape[1]}")
    if values.dtype.kind == "f" or not accessor.flag("normalized"):
        return values.astype(np.float32)
    greatest = np.iinfo(values.dtype).max
    return np.maximum(values.astype(np.float64) / greatest, -1).astype(np.float32)


def read_integers(container: Container, entry: Entry, key: str) -> NDArray[np.int64]:
    """The accessor of unsigned scalars that ``entry[key]`` names, as (count,) of int64."""
    accessor = _accessor(container, entry, key)
    values = _values(container, accessor)
    if values.dtype.kind != "u" or values.shape[1] != 1:
        raise accessor.error(f"must hold unsigned scalars as {key}, got {values.dtype} x {values.shape[1]}")
    return values[:, 0].astype(np.int64)


def _accessor(container: Container, entry: Entry, key: str) -> Entry:
    index = entry.integer(key, below=container.document.count("accessors"))
    return container.document.element("accessors", index)


def _values(container: Container, accessor: Entry) -> NDArray[Any]:
    dtype, count = _component_type(accessor), accessor.integer("count")
    kind = accessor.text("type")
    if kind not in _WIDTHS:
        raise accessor.error(f"type must be one of {', '.join(_WIDTHS)}, got {kind!r}")
    width = _WIDTHS[kind]
    if "bufferView" in accessor:
        values = _array(container, accessor, dtype, count, width)
    # Zeros have no bytes of their own to be measured by.
    elif count > container.size():
        raise accessor.error(f"count is {count}, more than the buffers' {container.size()} bytes")
    else:
        values = np.zeros((count, width), dtype)
    sparse = accessor.entry("sparse")
    return values if sparse is None else _replaced(container, sparse, values)


def _replaced(container: Container, sparse: Entry, values: NDArray[Any]) -> NDArray[Any]:
    """A copy of ``values`` in which some rows are those of a sparse accessor."""
    count, where, what = sparse.integer("count"), sparse.entry("indices"), sparse.entry("values")
    if where is None or what is None:
        raise sparse.error("must have indices and values")
    dtype = _component_type(where)
    if dtype.kind != "u":
        raise where.error(f"must be unsigned, got {dtype}")
    rows = _array(container, where, dtype, count, 1)[:, 0]
    if count and int(rows.max()) >= len(values):
        raise where.error(f"row {int(rows.max())} is replaced, but there are {len(values)}")
    values = values.copy()
    values[rows] = _array(container, what, values.dtype, count, values.shape[1])
    return values


def _component_type(entry: Entry) -> np.dtype[Any]:
    code = entry.integer("componentType")
    if code not in COMPONENT_TYPES:
        raise entry.error(f"componentType must be one of {', '.join(map(str, COMPONENT_TYPES))}, got {code}")
    return COMPONENT_TYPES[code]


def _array(container: Container, entry: Entry, dtype: np.dtype[Any], count: int, width: int) -> NDArray[Any]:
    """(count, width) values of a buffer view, which may lie between others."""
    view, data = container.view(entry)
    size = dtype.itemsize * width
    start, stride = entry.integer("byteOffset", 0), view.integer("byteStride", 0) or size
    if stride != size and (stride not in _STRIDES or stride < size):
        raise view.error(f"byteStride must be in [4, 252] and at least the {size} bytes of an item, got {stride}")
    end = start + stride * (count - 1) + size if count else start
    if end > len(data):
        raise entry.error(f"ends at byte {end} of a buffer view of {len(data)}")
    return np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))
