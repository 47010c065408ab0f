# SPDX-License-Identifier: Apache-2.0
"""The checkerboard."""

import sys

import pytest
import torch

from patina3d.utils import checkerboard


def test_geometry(device):
    board = checkerboard(2, device=device)
    verts, faces = board.verts_packed().cpu(), board.faces_packed().cpu()
    assert verts.shape == (25, 3)
    assert faces[:2].tolist() == [[0, 1, 6], [0, 6, 5]]
    assert verts[0].tolist() == [-2, -2, 0]
    assert verts[1].tolist() == [-1, -2, 0]
    assert verts[5].tolist() == [-2, -1, 0]
    assert (board.faces_normals_packed().cpu() == torch.tensor([0.0, 0.0, 1.0])).all()
    assert (board.faces_areas_packed() == 0.5).all()
    assert board.device.type == board.textures.device.type == device.type


def test_squares_next_to_each_other_differ():
    board = checkerboard(3, (0.1, 0.2), (0.3, 0.4))
    colors = board.textures.atlas_padded()
    assert colors.shape == (1, 72, 1, 1, 2)
    squares = colors.reshape(6, 6, 2, 2)
    assert torch.equal(squares[:, :, 0], squares[:, :, 1])
    for row in range(6):
        for column in range(6):
            expected = (0.3, 0.4) if (row + column) % 2 else (0.1, 0.2)
            assert torch.equal(squares[row, column, 0], torch.tensor(expected))


def test_bad_input():
    with pytest.raises(ValueError, match="radius must be >= 1, got 0"):
        checkerboard(0)
    with pytest.raises(ValueError, match="equally many channels, got 1 and 3"):
        checkerboard(1, (0.0,))


def test_without_the_renderer_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "patina3d.renderer", None)
    with pytest.raises(ImportError, match="checkerboard needs patina3d-renderer"):
        checkerboard(1)
