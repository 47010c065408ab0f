# SPDX-License-Identifier: Apache-2.0
"""Pictures from around an object."""

import math

import pytest
import torch

from patina3d.models import views_around
from patina3d.renderer import TexturesVertex
from patina3d.utils import ico_sphere


def ball(radius=1.0):
    mesh = ico_sphere(3).scale_verts(radius)
    mesh.textures = TexturesVertex(torch.full_like(mesh.verts_padded(), 0.6))
    return mesh


def test_a_ball_looks_the_same_from_everywhere():
    views = views_around(ball(), 6, 64)
    area = views.silhouette.sum((1, 2))
    # A sphere of radius r at distance d projects to a disc of radius r / sqrt(d^2 - r^2) / tan(30 deg) in NDC.
    radius_px = 32 * math.tan(math.asin(1 / 2.4)) / math.tan(math.radians(30))
    torch.testing.assert_close(area, torch.full_like(area, math.pi * radius_px**2), rtol=0.02, atol=0)
    assert set(views.silhouette.unique().tolist()) == {0.0, 1.0}


def test_cameras_stand_evenly_at_one_distance():
    centres = views_around(ball(), 50, 8).cameras.get_camera_center()
    torch.testing.assert_close(centres.norm(dim=1), torch.full((50,), 2.4))
    torch.testing.assert_close(centres.mean(0), torch.zeros(3), atol=0.06, rtol=0)


def test_a_phase_gives_other_views():
    one, other = (views_around(ball(), 3, 8, phase=p).cameras.get_camera_center() for p in (0.0, 0.5))
    assert (one - other).norm(dim=1).min() > 0.1


def test_pictures_do_not_depend_on_the_batch():
    one, other = (views_around(ball(), 5, 24, batch_size=b).rgb for b in (1, 5))
    torch.testing.assert_close(one, other)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="mesh must be a batch of one, got 2"):
        views_around(ball().extend(2), 3, 8)
    with pytest.raises(ValueError, match="num_views must be at least 1, got 0"):
        views_around(ball(), 0, 8)
