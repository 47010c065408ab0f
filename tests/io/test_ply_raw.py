# SPDX-License-Identifier: Apache-2.0
"""Everything that a PLY file holds."""

import io
import struct

import numpy as np
import pytest

from patina3d.io.ply_io import _load_ply_raw
from patina3d.io.ply_raw import load_ply_raw

ELEMENTS = """element vertex 2
property float x
property float32 y
property double z
property uint label
property uchar red
element face 2
property list uchar short vertex_index
element ragged 2
property list int float64 i
element mixed 2
property list short uint foo
property short bar
property list uchar char baz
element nothing 0
property float a
"""
TEXT = "1 2 0.1 4294967295 255\n3 4 0.2 0 0\n3 0 -1 2\n3 2 1 0\n1 0.5\n0\n1 4294967295 -7 0\n0 9 2 -128 127\n"


def packed(order: str) -> bytes:
    """The same body in a byte order."""
    vertices = struct.pack(f"{order}ffdIBffdIB", 1, 2, 0.1, 2**32 - 1, 255, 3, 4, 0.2, 0, 0)
    lists = struct.pack(f"{order}BhhhBhhhidi", 3, 0, -1, 2, 3, 2, 1, 0, 1, 0.5, 0)
    return vertices + lists + struct.pack(f"{order}hIhBhhBbb", 1, 2**32 - 1, -7, 0, 0, 9, 2, -128, 127)


def file(form: str) -> io.BytesIO:
    body = {
        "ascii": TEXT.encode(),
        "binary_little_endian": packed("<"),
        "binary_big_endian": packed(">"),
    }[form]
    comments = b"comment made by hand\nobj_info a b\ncomment \xff\n"
    return io.BytesIO(b"ply\nformat %s 1.0\n%s%send_header\n" % (form.encode(), comments, ELEMENTS.encode()) + body)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_elements_in_the_types_of_the_file(form):
    header, elements = load_ply_raw(file(form))
    assert header == (form == "ascii", "big" in form, ["made by hand", "\udcff"], ["a b"])
    assert list(elements) == ["vertex", "face", "ragged", "mixed", "nothing"]

    columns = [(array.dtype, array.tolist()) for array in elements["vertex"]]
    assert columns == [
        (np.float32, [[1, 2], [3, 4]]),
        (np.float64, [[0.1], [0.2]]),
        (np.uint32, [[2**32 - 1], [0]]),
        (np.uint8, [[255], [0]]),
    ]
    assert elements["face"].dtype == np.int16
    assert elements["face"].tolist() == [[0, -1, 2], [2, 1, 0]]
    assert [[items.tolist() for items in record] for record in elements["ragged"]] == [[[0.5]], [[]]]
    first, second = elements["mixed"]
    assert (first[0].tolist(), first[1], first[2].tolist()) == ([2**32 - 1], -7, [])
    assert (second[0].tolist(), second[1], second[2].tolist()) == ([], 9, [-128, 127])
    assert first[0].dtype == np.uint32
    assert elements["nothing"] == []


def test_lists_that_are_all_empty():
    text = "ply\nformat ascii 1.0\nelement listy 2\nproperty list uint int x\nend_header\n0\n0\n"
    assert load_ply_raw(io.StringIO(text))[1]["listy"].shape == (2, 0)


def test_lists_of_one_length_beside_scalars_stay_records():
    lines = "element tagged 2\nproperty list uchar int a\nproperty char b\n"
    text = f"ply\nformat ascii 1.0\n{lines}end_header\n2 1 2 3\n2 4 5 6\n"
    first, second = load_ply_raw(io.StringIO(text))[1]["tagged"]
    assert (first[0].tolist(), first[1]) == ([1, 2], 3)
    assert (second[0].tolist(), second[1]) == ([4, 5], 6)


def test_strings_go_through_the_path_manager():
    class Scheme:
        def open(self, name, mode="r"):
            assert (name, mode) == ("scheme://a", "rb")
            return file("ascii")

    assert _load_ply_raw("scheme://a", Scheme())[0].ascii


def test_the_arrays_can_be_written_to():
    elements = load_ply_raw(file("binary_big_endian"))[1]
    elements["vertex"][0] += 1
    elements["face"][:] = 0
    assert elements["face"].max() == 0


def test_bad_files_are_refused():
    with pytest.raises(ValueError, match=r"^load_ply: <BytesIO>, line 1: Invalid file header"):
        load_ply_raw(io.BytesIO(b"PLY\n"))
    with pytest.raises(ValueError, match="a binary file needs a stream of bytes"):
        load_ply_raw(io.StringIO("ply\nformat binary_little_endian 1.0\nelement a 1\nproperty char b\nend_header\n "))
