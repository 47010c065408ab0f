# SPDX-License-Identifier: Apache-2.0
"""Distances between surfaces with known answers."""

import pytest
import torch

from patina3d.models import surface_metrics
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere


def test_concentric_spheres():
    # Scaled so that the true diameter is 10: radii 5 and 5.2, so every point is 0.2 from the other surface. A surface
    # of area A is known by n samples only, whose nearest lies at a mean squared distance of A / (pi n) along it.
    metrics = surface_metrics(ico_sphere(4).scale_verts(1.04), ico_sphere(4), num_points=4000)
    assert metrics.chamfer == pytest.approx(2 * (0.2**2 + 100 / 4000), rel=0.1)
    assert metrics.normal_consistency > 0.98
    assert metrics.f1[0.1] < 1
    assert metrics.f1[0.5] > 99


def test_the_unit_does_not_matter():
    one, other = ico_sphere(2).scale_verts(0.8), ico_sphere(2)
    torch.manual_seed(0)
    small = surface_metrics(one, other, num_points=500)
    torch.manual_seed(0)
    large = surface_metrics(one.scale_verts(1000.0), other.scale_verts(1000.0), num_points=500)
    assert large.chamfer == pytest.approx(small.chamfer, rel=1e-3)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="predicted must be one mesh with faces"):
        surface_metrics(Meshes([], []), ico_sphere(0))
    point = Meshes([torch.zeros(3, 3)], [torch.tensor([[0, 1, 2]])])
    with pytest.raises(ValueError, match="true must be a mesh with extent"):
        surface_metrics(ico_sphere(0), point)
