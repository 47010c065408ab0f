# SPDX-License-Identifier: Apache-2.0
"""Whole renderings: rasterizer and shader together."""

import pytest
import torch

from patina3d.renderer.blending import BlendParams
from patina3d.renderer.cameras import FoVPerspectiveCameras, look_at_view_transform
from patina3d.renderer.lighting import AmbientLights, PointLights
from patina3d.renderer.materials import Materials
from patina3d.renderer.mesh.rasterizer import MeshRasterizer, RasterizationSettings
from patina3d.renderer.mesh.renderer import MeshRenderer, MeshRendererWithFragments
from patina3d.renderer.mesh.shader import (
    HardDepthShader,
    HardFlatShader,
    HardGouraudShader,
    HardPhongShader,
    SoftDepthShader,
    SoftGouraudShader,
    SoftPhongShader,
    SoftSilhouetteShader,
)
from patina3d.renderer.mesh.textures import TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

SHADERS = [
    HardPhongShader,
    SoftPhongShader,
    HardGouraudShader,
    SoftGouraudShader,
    HardFlatShader,
    HardDepthShader,
    SoftDepthShader,
]


def sphere(dtype=torch.float32, level: int = 2) -> Meshes:
    unit = ico_sphere(level)
    verts = unit.verts_packed().to(dtype)
    return Meshes([verts], [unit.faces_packed()], TexturesVertex([verts.abs()]))


def camera(dtype=torch.float32, **kwargs) -> FoVPerspectiveCameras:
    R, T = look_at_view_transform(2.7, 20.0, 30.0)
    return FoVPerspectiveCameras(R=R.to(dtype), T=T.to(dtype), **kwargs)


def soft(size: int = 32) -> RasterizationSettings:
    return RasterizationSettings(image_size=size, blur_radius=1e-3, faces_per_pixel=8)


def test_renderer_is_shader_after_rasterizer():
    mesh, cameras = sphere(), camera()
    rasterizer, shader = MeshRasterizer(cameras, soft()), SoftPhongShader(cameras=cameras)
    fragments = rasterizer(mesh)
    image = MeshRenderer(rasterizer, shader)(mesh)
    assert torch.equal(image, shader(fragments, mesh))
    again, found = MeshRendererWithFragments(rasterizer, shader)(mesh)
    assert torch.equal(again, image)
    for name in ("pix_to_face", "zbuf", "bary_coords", "dists"):
        assert torch.equal(getattr(found, name), getattr(fragments, name))


def test_keywords_reach_both():
    mesh, cameras = sphere(), camera()
    given = {
        "cameras": cameras,
        "raster_settings": soft(16),
        "lights": PointLights(location=((0, 3, 0),)),
        "materials": Materials(shininess=3),
        "blend_params": BlendParams(background_color=(0, 0, 1)),
    }
    image = MeshRenderer(MeshRasterizer(), SoftPhongShader())(mesh, **given)
    settings = given.pop("raster_settings")
    assert torch.equal(image, MeshRenderer(MeshRasterizer(cameras, settings), SoftPhongShader(**given))(mesh))
    assert image.shape == (1, 16, 16, 4)


def test_a_white_sphere_under_ambient_light():
    """The image is the disc that the sphere's outline is, in the colour of the light."""
    mesh = sphere(level=4)
    mesh = Meshes(mesh.verts_list(), mesh.faces_list(), TexturesVertex([torch.ones_like(mesh.verts_packed())]))
    cameras = camera(fov=60.0)
    lights = AmbientLights(ambient_color=((0.5, 0.25, 0.125),))
    rasterizer = MeshRasterizer(cameras, RasterizationSettings(image_size=64))
    image = MeshRenderer(rasterizer, HardPhongShader(cameras=cameras, lights=lights))(mesh)
    # A unit sphere at distance d is seen under an angle whose sine is 1 / d.
    radius = 1 / (2.7**2 - 1) ** 0.5 * 3**0.5
    centre = 1 - (2 * torch.arange(64) + 1) / 64
    distance = (centre[:, None] ** 2 + centre[None] ** 2).sqrt()
    inside, outside = distance < 0.98 * radius, distance > 1.001 * radius
    assert torch.allclose(image[0][inside], torch.tensor([0.5, 0.25, 0.125, 1]))
    assert torch.equal(image[0][outside], torch.tensor([1.0, 1, 1, 0]).expand(int(outside.sum()), 4))


@pytest.mark.parametrize("shader", SHADERS)
def test_images_of_a_batch_are_those_of_its_members(shader):
    one, other = sphere(level=1), sphere(level=2)
    mesh = Meshes(
        one.verts_list() + other.verts_list(),
        one.faces_list() + other.faces_list(),
        TexturesVertex([one.verts_packed().abs(), other.verts_packed().abs()]),
    )
    R, T = look_at_view_transform(2.7, torch.tensor([20.0, -30]), torch.tensor([30.0, 100]))
    cameras = FoVPerspectiveCameras(R=R, T=T)
    lights = PointLights(location=((0.0, 0, 3), (2.0, 2, 2)))
    image = MeshRenderer(MeshRasterizer(cameras, soft()), shader(cameras=cameras, lights=lights))(mesh)
    for n in range(2):
        own = FoVPerspectiveCameras(R=R[n : n + 1], T=T[n : n + 1])
        light = PointLights(location=lights.location[n : n + 1])
        alone = MeshRenderer(MeshRasterizer(own, soft()), shader(cameras=own, lights=light))(mesh[n])
        assert torch.allclose(alone, image[n : n + 1], atol=1e-5)


@pytest.mark.parametrize("shader", [*SHADERS, SoftSilhouetteShader])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_and_there(shader, dtype):
    mesh = sphere(dtype)
    verts = mesh.verts_packed().clone().requires_grad_()
    colors = torch.rand_like(verts).requires_grad_()
    cameras = camera(dtype)
    mesh = Meshes([verts], [mesh.faces_packed()], TexturesVertex([colors]))
    made = shader() if shader is SoftSilhouetteShader else shader(cameras=cameras)
    image = MeshRenderer(MeshRasterizer(cameras, soft()), made)(mesh)
    assert image.dtype == dtype
    assert image.isfinite().all()
    by_verts, by_colors = torch.autograd.grad(image.square().sum(), [verts, colors], allow_unused=True)
    assert by_verts.isfinite().all()
    assert by_verts.abs().sum() > 0
    if shader not in (SoftSilhouetteShader, HardDepthShader, SoftDepthShader):
        assert by_colors.isfinite().all()
        assert by_colors.abs().sum() > 0


@pytest.mark.parametrize("shader", [*SHADERS, SoftSilhouetteShader])
def test_degenerate_faces_have_finite_gradients(shader):
    """Faces without area, edge-on, on the camera plane and around the camera."""
    verts = torch.tensor(
        [[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, -3], [0.5, 0.5, -2.7], [-1, 1, 1], [0, 0, 1e-9]],
        requires_grad=True,
    )
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 2, 4], [4, 5, 6], [5, 6, 2], [0, 7, 2], [6, 6, 6], [2, 3, 6]])
    mesh = Meshes([verts], [faces], TexturesVertex([torch.rand(8, 3)]))
    cameras = FoVPerspectiveCameras(T=torch.tensor([[0.0, 0, 2.7]]))
    made = shader() if shader is SoftSilhouetteShader else shader(cameras=cameras)
    image = MeshRenderer(MeshRasterizer(cameras, soft()), made)(mesh)
    assert image.isfinite().all()
    (grad,) = torch.autograd.grad(image.square().sum(), verts)
    assert grad.isfinite().all()


@pytest.mark.parametrize("shader", [*SHADERS, SoftSilhouetteShader])
def test_an_empty_mesh_in_a_batch(shader):
    """Its image is the background."""
    full = sphere()
    mesh = Meshes(
        [full.verts_packed(), torch.zeros(0, 3)],
        [full.faces_packed(), torch.zeros(0, 3, dtype=torch.int64)],
        TexturesVertex([full.verts_packed().abs(), torch.zeros(0, 3)]),
    )
    cameras = camera()
    params = BlendParams(background_color=(0.2, 0.4, 0.6))
    made = shader() if shader is SoftSilhouetteShader else shader(cameras=cameras, blend_params=params)
    image = MeshRenderer(MeshRasterizer(cameras, soft()), made)(mesh)
    expected = {1: [100.0], 4: [1.0, 1, 1, 0] if shader is SoftSilhouetteShader else [0.2, 0.4, 0.6, 0]}
    assert torch.allclose(image[1], torch.tensor(expected[image.shape[-1]]).expand_as(image[1]))
    assert not torch.allclose(image[0], image[1])


def test_silhouette_gradient_moves_a_face_towards_the_target():
    """A square fitted to a shifted one: gradient descent on the picture finds the shift."""
    corners = torch.tensor([[0.4, 0.4, 0], [-0.4, 0.4, 0], [-0.4, -0.4, 0], [0.4, -0.4, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    cameras = FoVPerspectiveCameras(T=torch.tensor([[0.0, 0, 2.0]]))
    settings = RasterizationSettings(image_size=32, blur_radius=0.02, faces_per_pixel=4)
    renderer = MeshRenderer(MeshRasterizer(cameras, settings), SoftSilhouetteShader(BlendParams(sigma=2e-3)))

    def picture(shift: torch.Tensor) -> torch.Tensor:
        return renderer(Meshes([corners + torch.cat([shift, shift.new_zeros(1)])], [faces]))[..., 3]

    target = picture(torch.tensor([0.15, -0.1]))
    shift = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        (picture(shift) - target).square().sum().backward()
        optimizer.step()
    assert shift.tolist() == pytest.approx([0.15, -0.1], abs=5e-3)


def test_to_moves_in_place(device):
    cameras = camera()
    renderer = MeshRenderer(MeshRasterizer(cameras, soft()), SoftPhongShader(cameras=cameras))
    assert renderer.to(device) is renderer
    assert renderer.rasterizer.cameras is cameras
    assert renderer(sphere().to(device)).device.type == device.type
