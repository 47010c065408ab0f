# SPDX-License-Identifier: Apache-2.0
"""The colour of a surface under light."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.renderer.cameras import FoVPerspectiveCameras
from patina3d.renderer.lighting import AmbientLights, DirectionalLights, PointLights
from patina3d.renderer.materials import Materials
from patina3d.renderer.mesh.shading import _apply_lighting, flat_shading, gouraud_shading, phong_shading
from patina3d.renderer.mesh.textures import TexturesBase, TexturesVertex
from patina3d.structures import Meshes

FACES = torch.tensor([[0, 1, 2], [2, 1, 3]])


def verts(dtype=torch.float64) -> torch.Tensor:
    return torch.tensor([[0, 0, 0], [1, 0, 0.2], [0, 1, -0.1], [1.2, 1.1, 0.4]], dtype=dtype)


def two_meshes(dtype=torch.float64, points: torch.Tensor | None = None, colors: torch.Tensor | None = None) -> Meshes:
    """Meshes with four and three vertices."""
    points = verts(dtype) if points is None else points
    colors = torch.linspace(0.1, 0.9, 12, dtype=dtype).reshape(4, 3) if colors is None else colors
    textures = TexturesVertex([colors, 1 - colors[:3]])
    return Meshes([points, points[:3] * 1.5 - 0.2], [FACES, FACES[:1]], textures)


def two_images(dtype=torch.float64, shape=(2, 2, 2, 3)) -> SimpleNamespace:
    pix_to_face = torch.stack([torch.randint(-1, 2, shape[1:]), 3 * torch.randint(0, 2, shape[1:]) - 1])
    pix_to_face[0, 0, 0] = torch.tensor([0, 1, -1])
    pix_to_face[1, 0, 0] = torch.tensor([2, -1, 2])
    bary = torch.rand(*shape, 3, dtype=dtype)
    return SimpleNamespace(pix_to_face=pix_to_face, bary_coords=bary / bary.sum(-1, keepdim=True))


def scene(dtype=torch.float64) -> dict:
    """A batch of two of everything, all different."""
    return {
        "lights": PointLights(
            location=torch.tensor([[1.0, 2, 3], [-1, 0.5, 2]], dtype=dtype),
            diffuse_color=((0.3, 0.2, 0.1), (0.5, 0.6, 0.7)),
        ),
        "cameras": FoVPerspectiveCameras(T=torch.tensor([[0, 0, 4.0], [0.3, 0.1, 3]], dtype=dtype)),
        "materials": Materials(
            shininess=torch.tensor([8.0, 3.0], dtype=dtype), diffuse_color=((1, 0.8, 0.6), (0.3, 0.5, 0.7))
        ),
    }


def element(setting: dict, n: int) -> dict:
    """Batches of one."""
    index = torch.tensor([n])
    return {name: value.clone().gather_props(index) for name, value in setting.items()}


def lit(setting: dict, n: int, point: torch.Tensor, normal: torch.Tensor, texel: torch.Tensor) -> torch.Tensor:
    """The definition, for one point."""
    lights, cameras, materials = setting.values()
    point, normal = point[None], normal[None]
    one = PointLights(lights.ambient_color[n], lights.diffuse_color[n], lights.specular_color[n], lights.location[n])
    diffuse = one.diffuse(normal, point)[0]
    specular = one.specular(normal, point, cameras.get_camera_center()[n], materials.shininess[n])[0]
    ambient = materials.ambient_color[n] * lights.ambient_color[n]
    return (ambient + materials.diffuse_color[n] * diffuse) * texel + materials.specular_color[n] * specular


SHADINGS = {
    "phong": lambda meshes, fragments, texels, **setting: phong_shading(meshes, fragments, texels=texels, **setting),
    "flat": lambda meshes, fragments, texels, **setting: flat_shading(meshes, fragments, texels=texels, **setting),
    "gouraud": lambda meshes, fragments, texels, **setting: gouraud_shading(meshes, fragments, **setting),
}


@pytest.fixture(params=SHADINGS)
def shading(request):
    return SHADINGS[request.param]


@pytest.fixture(params=["packed", "dense"])
def path(request, monkeypatch):
    """The way of the CPU, and that of GPUs and compiled graphs."""
    if request.param == "dense":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


# Definitions.


def shaded_by_hand(kind: str, meshes, fragments, texels, setting) -> torch.Tensor:
    expected = torch.zeros_like(texels)
    faces, points, normals = meshes.faces_packed(), meshes.verts_packed(), meshes.verts_normals_packed()
    colors = meshes.textures.verts_features_packed()
    for slot in (fragments.pix_to_face >= 0).nonzero().tolist():
        n, slot = slot[0], tuple(slot)
        face = faces[fragments.pix_to_face[slot]]
        bary = fragments.bary_coords[slot]
        if kind == "phong":
            expected[slot] = lit(setting, n, bary @ points[face], bary @ normals[face], texels[slot])
        elif kind == "flat":
            normal = meshes.faces_normals_packed()[fragments.pix_to_face[slot]]
            expected[slot] = lit(setting, n, points[face].mean(0), normal, texels[slot])
        else:
            corners = [lit(setting, n, points[v], normals[v], colors[v]) for v in face]
            expected[slot] = bary @ torch.stack(corners)
    return expected


@pytest.mark.parametrize("kind", SHADINGS)
@pytest.mark.usefixtures("path")
def test_equals_definition(kind):
    """Each image has its own light, camera and material, whatever the number of vertices of its mesh."""
    meshes, fragments, setting = two_meshes(), two_images(), scene()
    texels = meshes.sample_textures(fragments)
    colors = SHADINGS[kind](meshes, fragments, texels, **setting)
    assert colors.dtype == torch.float64
    assert torch.allclose(colors, shaded_by_hand(kind, meshes, fragments, texels, setting))


def test_known_light():
    """One point with a given normal, seen from (0, 0, 5)."""
    points = torch.tensor([[0.1, 0.2, 0.3], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    normals = torch.tensor([[0, 0.6, 0.8]], dtype=torch.float64).expand(3, 3)
    meshes = Meshes([points], [FACES[:1]], verts_normals=[normals])
    fragments = SimpleNamespace(
        pix_to_face=torch.zeros(1, 1, 1, 1, dtype=torch.int64),
        bary_coords=torch.tensor([1.0, 0, 0], dtype=torch.float64).reshape(1, 1, 1, 1, 3),
    )
    lights = PointLights(location=((1, 2, 3),), ambient_color=((0, 0, 0),))
    cameras = FoVPerspectiveCameras(R=torch.diag(torch.tensor([-1.0, 1, -1]))[None], T=torch.tensor([[0.0, 0, 5]]))
    diffuse, specular = (
        phong_shading(
            meshes, fragments, lights, cameras, Materials(shininess=8), torch.full((1, 1, 1, 1, 3), texel).double()
        )
        for texel in (1.0, 0.0)
    )
    assert specular.flatten().tolist() == pytest.approx([0.013835] * 3, abs=5e-7)
    assert (diffuse - specular).flatten().tolist() == pytest.approx([0.288642] * 3, abs=5e-7)


# Laws.


@pytest.mark.usefixtures("path")
def test_an_image_alone_is_that_of_the_batch(shading):
    meshes, fragments, setting = two_meshes(), two_images(), scene()
    colors = shading(meshes, fragments, meshes.sample_textures(fragments), **setting)
    for n in range(2):
        first = meshes.mesh_to_faces_packed_first_idx()[n]
        faces = fragments.pix_to_face[n : n + 1]
        own = SimpleNamespace(
            pix_to_face=torch.where(faces < 0, -1, faces - first), bary_coords=fragments.bary_coords[n : n + 1]
        )
        alone = shading(meshes[n], own, meshes[n].sample_textures(own), **element(setting, n))
        assert torch.allclose(alone, colors[n : n + 1])


@pytest.mark.usefixtures("path")
def test_one_setting_serves_the_batch(shading):
    meshes, fragments, setting = two_meshes(), two_images(), element(scene(), 0)
    texels = meshes.sample_textures(fragments)
    twice = {name: value.clone().gather_props(torch.tensor([0, 0])) for name, value in scene().items()}
    assert torch.allclose(shading(meshes, fragments, texels, **setting), shading(meshes, fragments, texels, **twice))


@pytest.mark.usefixtures("path")
def test_directional_light(shading):
    """A light far away is a light from one direction."""
    meshes, fragments, setting = two_meshes(), two_images(), scene()
    texels = meshes.sample_textures(fragments)
    setting["lights"] = DirectionalLights(direction=((0.0, 1, 2),))
    near = shading(meshes, fragments, texels, **setting)
    setting["lights"] = PointLights(location=torch.tensor([[0.0, 1e8, 2e8]], dtype=torch.float64))
    assert torch.allclose(near, shading(meshes, fragments, texels, **setting), atol=1e-6)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_ambient_light_in_any_number_of_channels(shading, channels):
    meshes, fragments, setting = two_meshes(colors=torch.rand(4, channels).double()), two_images(), scene()
    color = torch.rand(2, channels, dtype=torch.float64)
    white = ((1.0,),)
    setting["lights"] = AmbientLights(ambient_color=color)
    setting["materials"] = Materials(ambient_color=white, diffuse_color=white, specular_color=white)
    texels = meshes.sample_textures(fragments)
    colors = shading(meshes, fragments, texels, **setting)
    assert torch.allclose(colors, texels * color.reshape(2, 1, 1, 1, channels))


@pytest.mark.usefixtures("path")
def test_empty_slots_are_zero_whatever_they_hold(shading):
    points, colors = verts().requires_grad_(), torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    meshes, fragments, setting = two_meshes(points=points, colors=colors), two_images(), scene()
    empty = fragments.pix_to_face < 0
    fragments.bary_coords[empty] = torch.nan
    fragments.bary_coords.requires_grad_()
    setting["materials"] = Materials(shininess=0.5)
    out = shading(meshes, fragments, meshes.sample_textures(fragments), **setting)
    assert (out[empty] == 0).all()
    grads = torch.autograd.grad(out.square().sum(), [points, colors, fragments.bary_coords], allow_unused=True)
    for grad in grads:
        assert grad is None or grad.isfinite().all()
    assert grads[0].abs().sum() > 0
    assert grads[2] is None or (grads[2][empty] == 0).all()


@pytest.mark.usefixtures("path")
def test_gradcheck(shading):
    points = verts().requires_grad_()
    colors = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    fragments = two_images(shape=(2, 1, 1, 3))
    bary = fragments.bary_coords.requires_grad_()
    location = torch.tensor([[1.0, 2, 3], [-1, 0.5, 2]], dtype=torch.float64, requires_grad=True)
    move = torch.tensor([[0, 0, 4.0], [0.3, 0.1, 3]], dtype=torch.float64, requires_grad=True)

    def shade(points, colors, bary, location, move):
        meshes = two_meshes(points=points, colors=colors)
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, bary_coords=bary)
        lights, cameras = PointLights(location=location), FoVPerspectiveCameras(T=move)
        materials = scene()["materials"]
        return shading(
            meshes, slots, meshes.sample_textures(slots), lights=lights, cameras=cameras, materials=materials
        )

    assert gradcheck(shade, (points, colors, bary, location, move), fast_mode=True)


# Types, devices, edges.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_float64_on_each_device(shading, device, dtype):
    meshes, fragments, setting = two_meshes(), two_images(), scene()
    expected = shading(meshes, fragments, meshes.sample_textures(fragments), **setting)
    meshes = two_meshes(dtype).to(device)
    fragments = SimpleNamespace(
        pix_to_face=fragments.pix_to_face.to(device), bary_coords=fragments.bary_coords.to(device, dtype)
    )
    setting = {name: value.to(device) for name, value in scene(dtype).items()}
    colors = shading(meshes, fragments, meshes.sample_textures(fragments), **setting)
    assert colors.dtype == dtype
    assert torch.allclose(colors.double().cpu(), expected, atol=1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.usefixtures("path")
def test_nothing_to_see(shading):
    meshes = Meshes([torch.zeros(0, 3)], [torch.zeros(0, 3, dtype=torch.int64)], TexturesVertex([torch.zeros(0, 3)]))
    fragments = SimpleNamespace(pix_to_face=torch.full((1, 2, 3, 4), -1), bary_coords=torch.full((1, 2, 3, 4, 3), -1.0))
    setting = {"lights": PointLights(), "cameras": FoVPerspectiveCameras(), "materials": Materials()}
    out = shading(meshes, fragments, meshes.sample_textures(fragments), **setting)
    assert torch.equal(out, torch.zeros(1, 2, 3, 4, 3))


@pytest.mark.parametrize("argument", ["lights", "cameras", "materials"])
def test_batch_sizes_must_fit(shading, argument):
    meshes, fragments, setting = two_meshes(), two_images(), scene()
    setting[argument] = setting[argument].clone().gather_props(torch.tensor([0, 1, 0]))
    with pytest.raises(ValueError, match=f"_shading: {argument} must be a batch of 1 or 2, got 3"):
        shading(meshes, fragments, meshes.sample_textures(fragments), **setting)


def test_gouraud_needs_colors_at_vertices():
    class Other(TexturesBase):
        def sample_textures(self, fragments, **kwargs): ...

        def check_shapes(self, batch_size, max_num_verts, max_num_faces):
            return True

    meshes = Meshes([verts()], [FACES], Other())
    with pytest.raises(ValueError, match=r"gouraud_shading: meshes.textures must be TexturesVertex, got Other"):
        gouraud_shading(meshes, two_images(), **scene())


@pytest.mark.parametrize("shape", [(2,), (2, 5), (2, 2, 3, 4)])
def test_the_three_terms_of_light(shape):
    points, normals = (torch.randn(*shape, 3, dtype=torch.float64) for _ in range(2))
    texel = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    setting = scene()
    ambient, diffuse, specular = _apply_lighting(points, normals, **setting)
    got = ((ambient + diffuse) * texel + specular).reshape(2, -1, 3)
    for n in range(2):
        pairs = zip(points[n].reshape(-1, 3), normals[n].reshape(-1, 3), strict=True)
        want = torch.stack([lit(setting, n, point, normal, texel) for point, normal in pairs])
        torch.testing.assert_close(got[n], want)
    with pytest.raises(ValueError, match="_apply_lighting: lights must be a batch of 1 or 3, got 2"):
        _apply_lighting(torch.zeros(3, 3), torch.zeros(3, 3), **setting)
