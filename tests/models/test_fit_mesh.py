# SPDX-License-Identifier: Apache-2.0
"""A mesh recovered from pictures, on a small scale."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
import torch

from patina3d.models import FitSettings, MeshFit, Views, views_around
from patina3d.models.fit_mesh import silhouette_loss, soft_silhouette
from patina3d.renderer import BlendParams, MeshRasterizer, RasterizationSettings, TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

SETTINGS = FitSettings(iterations=8, sphere_level=2, faces_per_pixel=8, views_per_step=2)


def painted(mesh: Meshes) -> Meshes:
    mesh.textures = TexturesVertex(torch.full_like(mesh.verts_padded(), 0.7))
    return mesh


@pytest.fixture(scope="module")
def views():
    verts = ico_sphere(2).verts_padded() * torch.tensor([0.9, 0.5, 0.7])
    return views_around(painted(ico_sphere(2).update_padded(verts)), 4, 32)


def test_the_loss_falls(views):
    fit = MeshFit(views, dataclasses.replace(SETTINGS, iterations=30, learning_rate=0.1))
    losses = [fit.advance()["silhouette"] for _ in range(30)]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])


def test_every_term_is_reported_and_finite(views):
    fit = MeshFit(views, SETTINGS)
    terms = fit.advance()
    assert set(terms) == {"loss", "silhouette", "rgb", "edge", "laplacian", "normal"}
    assert all(map(torch.isfinite, map(torch.tensor, terms.values())))
    weighted = sum(getattr(SETTINGS, name) * value for name, value in terms.items() if name != "loss")
    assert terms["loss"] == pytest.approx(weighted, rel=1e-5)


def test_the_same_seed_gives_the_same_bits(views):
    def run(seed):
        fit = MeshFit(views, dataclasses.replace(SETTINGS, seed=seed, views_per_step=1))
        for _ in range(3):
            fit.advance()
        return fit.mesh().detach().verts_packed()

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_every_view_comes_once_before_any_comes_again(views):
    fit = MeshFit(views, SETTINGS)
    seen = []
    for _ in range(2):
        seen.extend(fit._choose().tolist())
        fit.advance()
    assert sorted(seen) == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "per_step"), [(5, 2), (5, 3), (3, 8)])
def test_no_view_is_left_out_where_the_steps_do_not_divide_the_views(views, count, per_step):
    index = torch.arange(count) % 4
    some = Views(views.cameras[index], views.lights, views.rgb[index], views.silhouette[index])
    fit = MeshFit(some, dataclasses.replace(SETTINGS, views_per_step=per_step))
    seen = []
    for _ in range(2 * count):
        seen.extend(fit._choose().tolist())
        fit.history.append({})
    assert len(seen) == 2 * count * min(per_step, count)
    for begin in range(0, len(seen), count):
        assert sorted(seen[begin : begin + count]) == list(range(count))


def test_the_order_of_views_that_the_steps_divide(views):
    fit = MeshFit(views, dataclasses.replace(SETTINGS, seed=3))
    for step in range(6):
        generator = torch.Generator().manual_seed(3 * 1_000_003 + step // 2)
        order = torch.randperm(4, generator=generator)
        assert torch.equal(fit._choose(), order[step % 2 * 2 :][:2])
        fit.history.append({})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("iterations", 0, "iterations must be at least 1, got 0"),
        ("views_per_step", 0, "views_per_step must be at least 1, got 0"),
        ("faces_per_pixel", -1, "faces_per_pixel must be at least 1, got -1"),
        ("shaded_faces_per_pixel", 0, "shaded_faces_per_pixel must be at least 1, got 0"),
        ("sphere_level", -1, "sphere_level must be at least 0 and finite, got -1"),
        ("final_sigma", 0.0, "final_sigma must be above 0 and finite, got 0.0"),
        ("learning_rate", math.nan, "learning_rate must be at least 0 and finite, got nan"),
        ("rgb", math.inf, "rgb must be at least 0 and finite, got inf"),
    ],
)
def test_settings_out_of_range(name, value, message):
    with pytest.raises(ValueError, match=f"^MeshFit: {re.escape(message)}$"):
        FitSettings(**{name: value})


def test_a_resumed_fit_ends_where_an_unbroken_one_does(views, tmp_path):
    unbroken = MeshFit(views, SETTINGS)
    for _ in range(5):
        unbroken.advance()
    first = MeshFit(views, SETTINGS)
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "checkpoint.pt")
    second = MeshFit(views, SETTINGS)
    second.load(tmp_path / "checkpoint.pt")
    assert second.step == 3
    for _ in range(2):
        second.advance()
    assert torch.equal(second.mesh().verts_packed(), unbroken.mesh().verts_packed())
    assert second.history == unbroken.history
    assert second.seconds > first.seconds > 0
    fresh = MeshFit(views, SETTINGS)
    fresh.load(tmp_path / "checkpoint.pt")
    assert fresh.seconds == first.seconds


def test_a_checkpoint_stays_until_the_next_is_whole(views, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    fit = MeshFit(views, SETTINGS)
    fit.save(path)
    before = path.read_bytes()

    def disk_full(state, file):
        Path(file).write_bytes(before[:100])
        raise OSError("no space left")

    fit.advance()
    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="no space"):
        fit.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_other_settings_is_refused(views, tmp_path):
    MeshFit(views, SETTINGS).save(tmp_path / "checkpoint.pt")
    other = MeshFit(views, dataclasses.replace(SETTINGS, sigma=1e-3))
    with pytest.raises(ValueError, match="same settings, got other sigma"):
        other.load(tmp_path / "checkpoint.pt")


def test_the_inside_of_a_soft_silhouette_is_opaque_and_its_outline_alone_has_a_gradient(views):
    ball = ico_sphere(3).scale_verts(0.7)
    verts = ball.verts_padded().requires_grad_()
    blend = BlendParams(sigma=1e-4)
    settings = RasterizationSettings(image_size=64, blur_radius=9.2 * blend.sigma, faces_per_pixel=16)
    fragments = MeshRasterizer(views.cameras[[0]], settings)(ball.update_padded(verts))
    silhouette = soft_silhouette(fragments, blend)
    hard = (fragments.pix_to_face >= 0) & (fragments.dists < 0)
    covered = hard.any(-1)
    inside = -torch.nn.functional.max_pool2d(-covered[None].float(), 3, 1, 1)[0] > 0
    assert inside.sum() > 500
    assert (silhouette[inside] == 1).all()
    assert torch.autograd.grad(silhouette[inside].sum(), verts, retain_graph=True)[0].abs().max() == 0
    outline = silhouette[(silhouette > 0) & ~covered]
    assert len(outline) > 20
    assert torch.autograd.grad(outline.sum(), verts)[0].abs().max() > 0


def test_silhouette_loss_is_one_minus_intersection_over_union():
    true = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert silhouette_loss(true, true).item() == 0
    assert silhouette_loss(1 - true, true).item() == 1
    half = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert silhouette_loss(half, true).item() == pytest.approx(2 / 3)


def test_two_empty_silhouettes_are_equal_with_a_finite_gradient():
    empty = torch.zeros(1, 2, 2, requires_grad=True)
    loss = silhouette_loss(empty, torch.zeros(1, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(empty.grad).all()


def test_a_checkpoint_of_other_pictures_is_refused(views, tmp_path):
    MeshFit(views, SETTINGS).save(tmp_path / "checkpoint.pt")
    other = MeshFit(views_around(painted(ico_sphere(1)), 4, 32), SETTINGS)
    with pytest.raises(ValueError, match="same pictures, got other silhouettes"):
        other.load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("what", ["colours", "cameras", "lights"])
def test_a_checkpoint_of_other_colours_cameras_or_lights_is_refused(views, tmp_path, what):
    MeshFit(views, SETTINGS).save(tmp_path / "checkpoint.pt")
    cameras, lights = views.cameras.clone(), views.lights.clone()
    rgb = views.rgb.clone()
    if what == "colours":
        rgb[0, 0, 0] = 0.5
    elif what == "cameras":
        cameras.T = cameras.T + 0.1
    else:
        lights.location = lights.location + 0.1
    other = MeshFit(Views(cameras, lights, rgb, views.silhouette), SETTINGS)
    with pytest.raises(ValueError, match=f"same pictures, got other {what}"):
        other.load(tmp_path / "checkpoint.pt")


def test_what_is_no_checkpoint_is_refused(views, tmp_path):
    path = tmp_path / "checkpoint.pt"
    for value in (torch.zeros(3), {"settings": {}}, 3):
        torch.save(value, path)
        with pytest.raises(ValueError, match=r"must be a file that MeshFit\.save wrote"):
            MeshFit(views, SETTINGS).load(path)
    for content in (b"", b"no checkpoint", bytes(range(256)), b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"must be a file that MeshFit\.save wrote"):
            MeshFit(views, SETTINGS).load(path)
    with pytest.raises(OSError, match="none"):
        MeshFit(views, SETTINGS).load(tmp_path / "none.pt")
