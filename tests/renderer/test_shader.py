# SPDX-License-Identifier: Apache-2.0
"""Shaders: which colours, which blend, which parameters."""

import pytest
import torch

from patina3d.renderer.blending import BlendParams, hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend
from patina3d.renderer.cameras import FoVPerspectiveCameras, PerspectiveCameras
from patina3d.renderer.lighting import AmbientLights, PointLights
from patina3d.renderer.materials import Materials
from patina3d.renderer.mesh.rasterizer import Fragments
from patina3d.renderer.mesh.shader import (
    HardDepthShader,
    HardFlatShader,
    HardGouraudShader,
    HardPhongShader,
    ShaderBase,
    SoftDepthShader,
    SoftGouraudShader,
    SoftPhongShader,
    SoftSilhouetteShader,
    TexturedSoftPhongShader,
)
from patina3d.renderer.mesh.shading import flat_shading, gouraud_shading, phong_shading
from patina3d.renderer.mesh.textures import TexturesVertex
from patina3d.structures import Meshes

COLOR_SHADERS = [HardPhongShader, SoftPhongShader, HardGouraudShader, SoftGouraudShader, HardFlatShader]
DEPTH_SHADERS = [HardDepthShader, SoftDepthShader]
FLAT = {"lights": PointLights(location=((0.5, 2, 3),)), "materials": Materials(shininess=4)}


def meshes(channels: int = 3) -> Meshes:
    points = torch.tensor([[0, 0, 0], [1, 0, 0.2], [0, 1, -0.1], [1.2, 1.1, 0.4]], dtype=torch.float64)
    colors = torch.rand(4, channels, dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    return Meshes([points, points], [faces, faces], TexturesVertex([colors, 1 - colors]))


def fragments(shape=(2, 3, 4, 3)) -> Fragments:
    filled = torch.randint(0, shape[-1] + 1, (*shape[:-1], 1)) > torch.arange(shape[-1])
    faces = torch.randint(0, 2, shape) + 2 * torch.arange(shape[0]).reshape(-1, 1, 1, 1)
    bary = torch.rand(*shape, 3, dtype=torch.float64)
    return Fragments(
        pix_to_face=torch.where(filled, faces, -1),
        zbuf=torch.where(filled, 1 + torch.rand(shape, dtype=torch.float64).cumsum(-1), -1.0),
        bary_coords=torch.where(filled[..., None], bary / bary.sum(-1, keepdim=True), -1.0),
        dists=torch.where(filled, 1e-4 * torch.randn(shape, dtype=torch.float64), -1.0),
    )


@pytest.fixture
def cameras() -> FoVPerspectiveCameras:
    return FoVPerspectiveCameras(T=torch.tensor([[0.0, 0, 4]]), znear=torch.tensor([0.5, 0.7]), zfar=[5.0, 9.0])


def test_each_shader_is_its_shading_and_its_blend(cameras):
    mesh, found = meshes(), fragments()
    params = BlendParams(gamma=0.05, background_color=(0.1, 0.2, 0.3))
    setting = {"cameras": cameras, **FLAT}
    texels = mesh.sample_textures(found)
    phong = phong_shading(mesh, found, texels=texels, **setting)
    gouraud = gouraud_shading(mesh, found, **setting)
    flat = flat_shading(mesh, found, texels=texels, **setting)
    znear, zfar = cameras.znear, cameras.zfar
    expected = {
        HardPhongShader: hard_rgb_blend(phong, found, params),
        SoftPhongShader: softmax_rgb_blend(phong, found, params, znear, zfar),
        HardGouraudShader: hard_rgb_blend(gouraud, found, params),
        SoftGouraudShader: softmax_rgb_blend(gouraud, found, params, znear, zfar),
        HardFlatShader: hard_rgb_blend(flat, found, params),
    }
    assert list(expected) == COLOR_SHADERS
    for shader, image in expected.items():
        assert torch.allclose(shader(**setting, blend_params=params)(found, mesh), image)
        # What a call is given replaces what the shader was made with.
        assert torch.allclose(shader()(found, mesh, blend_params=params, **setting), image)


def test_silhouette():
    found, params = fragments(), BlendParams(sigma=2e-4)
    expected = sigmoid_alpha_blend(torch.ones(2, 3, 4, 3, 3, dtype=torch.float64), found, params)
    assert (expected[..., :3] == 1).all()
    assert torch.equal(SoftSilhouetteShader(params)(found, meshes()), expected)
    assert torch.equal(SoftSilhouetteShader()(found, meshes(), blend_params=params), expected)


def test_silhouette_needs_distances():
    found = fragments()
    found = Fragments(found.pix_to_face, found.zbuf, found.bary_coords, None)
    with pytest.raises(TypeError, match=r"sigmoid_alpha_blend: fragments.dists must be a floating tensor, got None"):
        SoftSilhouetteShader()(found, meshes())


@pytest.mark.parametrize("shader", [HardPhongShader, HardFlatShader, HardGouraudShader])
def test_hard_shaders_need_no_distances(shader, cameras):
    found = fragments()
    without = Fragments(found.pix_to_face, found.zbuf, found.bary_coords, None)
    mesh = meshes()
    assert torch.equal(shader(cameras=cameras)(without, mesh), shader(cameras=cameras)(found, mesh))


def test_hard_depth_is_that_of_the_nearest_face(cameras):
    found = fragments()
    depth = HardDepthShader(cameras=cameras)(found, meshes())
    far = torch.tensor([5.0, 9.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    assert depth.shape == (2, 3, 4, 1)
    assert torch.equal(depth, torch.where(found.zbuf[..., :1] < 0, far, found.zbuf[..., :1]))


def test_soft_depth_of_known_slots():
    found = Fragments(
        pix_to_face=torch.tensor([3, 7, -1]).reshape(1, 1, 1, 3),
        zbuf=torch.tensor([2.0, 5.0, -1.0]).reshape(1, 1, 1, 3),
        bary_coords=torch.full((1, 1, 1, 3, 3), -1.0),
        dists=torch.tensor([-1e-4, 5e-5, -1.0]).reshape(1, 1, 1, 3),
    )
    depth = SoftDepthShader(cameras=FoVPerspectiveCameras(zfar=10.0))(found, meshes())
    assert depth.item() == pytest.approx(2.806824, abs=5e-7)


def test_soft_depth_equals_definition(cameras):
    found, params = fragments(), BlendParams(sigma=2e-4)
    depth = SoftDepthShader(cameras=cameras)(found, meshes(), blend_params=params)
    p = torch.where(found.pix_to_face < 0, 0.0, torch.sigmoid(-found.dists / params.sigma))
    for pixel in torch.cartesian_prod(*map(torch.arange, (2, 3, 4))).tolist():
        pixel, left, expected = tuple(pixel), 1.0, 0.0
        for k in range(3):
            share = min(left, p[(*pixel, k)].item())
            left -= share
            expected += share * found.zbuf[(*pixel, k)].item()
        expected += left * [5.0, 9.0][pixel[0]]
        assert depth[pixel].item() == pytest.approx(expected)


@pytest.mark.parametrize("shader", DEPTH_SHADERS)
def test_depth_gradients_are_finite_and_zero_in_empty_slots(shader, cameras):
    found = fragments()
    empty = found.pix_to_face < 0
    zbuf = torch.where(empty, torch.nan, found.zbuf).requires_grad_()
    dists = torch.where(empty, torch.nan, found.dists).requires_grad_()
    depth = shader(cameras=cameras)(Fragments(found.pix_to_face, zbuf, found.bary_coords, dists), meshes())
    assert depth.isfinite().all()
    for grad in torch.autograd.grad(depth.square().sum(), [zbuf, dists], allow_unused=True):
        assert grad is None or (grad.isfinite().all() and (grad[empty] == 0).all())


def test_depth_range_from_the_call_the_cameras_or_the_default(cameras):
    """A camera without zfar has 100."""
    found, mesh = fragments(), meshes()
    empty = found.pix_to_face[..., :1] < 0
    plain = PerspectiveCameras(T=torch.tensor([[0.0, 0, 4]]))
    shader = HardDepthShader(cameras=cameras)
    assert (shader(found, mesh, zfar=7.0)[empty] == 7).all()
    assert (shader(found, mesh, zfar=torch.tensor([7.0, 8]))[1][empty[1]] == 8).all()
    assert (shader(found, mesh, cameras=plain)[empty] == 100).all()
    setting = {"cameras": plain, "blend_params": BlendParams(gamma=0.1), **FLAT}
    colors = phong_shading(mesh, found, plain and FLAT["lights"], plain, FLAT["materials"], mesh.sample_textures(found))
    expected = softmax_rgb_blend(colors, found, setting["blend_params"], 1.0, 100.0)
    assert torch.allclose(SoftPhongShader(**setting)(found, mesh), expected)


@pytest.mark.parametrize(
    "shader", [HardPhongShader, SoftPhongShader, HardGouraudShader, SoftGouraudShader, HardFlatShader]
)
@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(shader, channels, cameras):
    """Under ambient light, with the default material."""
    mesh, found = meshes(channels), fragments()
    lights = AmbientLights(ambient_color=torch.full((1, channels), 0.5))
    params = BlendParams(background_color=[0.25] * channels)
    image = shader(cameras=cameras, lights=lights, blend_params=params)(found, mesh)
    assert image.shape == (2, 3, 4, channels + 1)
    texel = mesh.sample_textures(found)[..., 0, :]
    covered = found.pix_to_face[..., 0] >= 0
    if shader in (HardPhongShader, HardGouraudShader, HardFlatShader):
        assert torch.allclose(image[covered][:, :-1], 0.5 * texel[covered])
    assert torch.allclose(image[~covered][:, :-1], torch.tensor(0.25, dtype=torch.float64))


@pytest.mark.parametrize("shader", [*COLOR_SHADERS, *DEPTH_SHADERS])
def test_cameras_are_needed(shader):
    with pytest.raises(ValueError, match=f"{shader.__name__}: cameras must be given"):
        shader()(fragments(), meshes())


def test_depth_range_must_fit_the_batch(cameras):
    for shader in DEPTH_SHADERS:
        with pytest.raises(
            ValueError, match=f"{shader.__name__}: zfar must hold one value or one for each of 2 images"
        ):
            shader(cameras=cameras)(fragments(), meshes(), zfar=torch.ones(3))


def test_defaults():
    shader = SoftPhongShader()
    assert isinstance(shader.lights, PointLights)
    assert isinstance(shader.materials, Materials)
    assert shader.blend_params == BlendParams()
    assert shader.cameras is None


def test_to_moves_in_place(device, cameras):
    shader = SoftPhongShader(cameras=cameras, **FLAT)
    assert shader.to(device) is shader
    assert shader.cameras is cameras
    for part in (shader.cameras.R, shader.lights.location, shader.materials.shininess):
        assert part.device.type == device.type


def test_the_base_shades_nothing():
    with pytest.raises(NotImplementedError, match="ShaderBase does not implement forward"):
        ShaderBase()(fragments(), meshes())


def test_a_shader_of_ones_own_asks_for_its_cameras(cameras):
    class Shader(ShaderBase):
        def forward(self, fragments, meshes, **kwargs):
            return self._get_cameras(**kwargs)

    other = FoVPerspectiveCameras()
    assert Shader(cameras=cameras)(None, None) is cameras
    assert Shader(cameras=cameras)(None, None, cameras=other) is other
    with pytest.raises(ValueError, match="Shader: cameras must be given to the shader or to the call"):
        Shader()(None, None)


def test_a_former_name_warns(cameras):
    params = BlendParams(sigma=0.5)
    with pytest.warns(PendingDeprecationWarning, match="TexturedSoftPhongShader"):
        shader = TexturedSoftPhongShader("cpu", cameras, blend_params=params)
    assert type(shader) is SoftPhongShader
    assert shader.cameras is cameras
    assert shader.blend_params is params
