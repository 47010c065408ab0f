# SPDX-License-Identifier: Apache-2.0
"""Materials."""

import pytest
import torch

from patina3d.renderer.materials import Materials


def test_defaults():
    materials = Materials()
    assert len(materials) == 1
    assert torch.equal(materials.ambient_color, torch.ones(1, 3))
    assert torch.equal(materials.diffuse_color, torch.ones(1, 3))
    assert torch.equal(materials.specular_color, torch.ones(1, 3))
    assert torch.equal(materials.shininess, torch.tensor([64.0]))


def test_everything_has_the_batch_size():
    materials = Materials(ambient_color=(0.1, 0.2, 0.3), diffuse_color=torch.rand(3, 3), shininess=[1.0, 2.0, 3.0])
    assert len(materials) == 3
    assert {materials.ambient_color.shape, materials.specular_color.shape} == {(3, 3)}
    assert Materials(diffuse_color=torch.rand(3, 3)).shininess.shape == (3,)


def test_any_number_of_channels():
    color = torch.rand(2, 5)
    assert Materials(color, color, color).specular_color.shape == (2, 5)


def test_numbers_take_the_dtype_of_the_tensors():
    materials = Materials(ambient_color=torch.rand(1, 3, dtype=torch.float64), shininess=0.1)
    assert materials.shininess.item() == 0.1
    assert materials.diffuse_color.dtype == torch.float64


def test_clone_keeps_the_gradient_and_shares_nothing():
    shininess = torch.tensor([3.0], requires_grad=True)
    materials = Materials(shininess=shininess)
    copy = materials.clone()
    assert type(copy) is Materials
    assert copy.shininess.data_ptr() != materials.shininess.data_ptr()
    (grad,) = torch.autograd.grad(copy.shininess.sum(), shininess)
    assert grad == 1


def test_defaults_are_not_shared():
    Materials().ambient_color.zero_()
    assert torch.equal(Materials().ambient_color, torch.ones(1, 3))


def test_iteration_and_assignment():
    materials = Materials(shininess=[1.0, 2.0])
    materials[1].shininess = 5.0
    materials[0].diffuse_color = (0.0, 0.5, 1.0)
    assert [m.shininess.item() for m in materials] == [1.0, 5.0]
    assert torch.equal(materials.diffuse_color, torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]]))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"ambient_color": torch.ones(1, 4)}, r"colours must be \(N, C\) with one C"),
        ({"diffuse_color": torch.ones(1, 2, 3)}, r"colours must be \(N, C\) with one C"),
        ({"shininess": torch.ones(1, 1)}, r"shininess must be \(1,\), got \(1, 1\)"),
        ({"shininess": torch.ones(2), "diffuse_color": torch.ones(3, 3)}, "first dimensions must be 1 or 3"),
    ],
)
def test_bad_shapes(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Materials(**kwargs)
