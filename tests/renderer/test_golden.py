# SPDX-License-Identifier: Apache-2.0
"""Does it look right? One picture a phenomenon."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from patina3d.renderer import (
    BlendParams,
    FoVPerspectiveCameras,
    HardFlatShader,
    HardPhongShader,
    MeshRasterizer,
    MeshRenderer,
    PointLights,
    RasterizationSettings,
    SoftSilhouetteShader,
    TexturesVertex,
    look_at_view_transform,
)
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere, torus
from support.golden import assert_golden

pytestmark = pytest.mark.emulated

GOLDEN = Path(__file__).parent / "golden"
SIZE = 96


def cameras(distance: float = 2.7) -> FoVPerspectiveCameras:
    rotation, translation = look_at_view_transform(distance, 25.0, 30.0)
    return FoVPerspectiveCameras(R=rotation, T=translation)


def colored(mesh: Meshes) -> Meshes:
    """Each point in the colour of where it is."""
    mesh.textures = TexturesVertex([verts / 2 + 0.5 for verts in mesh.verts_list()])
    return mesh


def hard(mesh: Meshes, shader: type = HardPhongShader, distance: float = 2.7) -> Tensor:
    eye = cameras(distance)
    rasterizer = MeshRasterizer(eye, RasterizationSettings(image_size=SIZE))
    lights = PointLights(location=[[2.0, 2.0, 2.0]])
    return MeshRenderer(rasterizer, shader(cameras=eye, lights=lights))(mesh)[0, ..., :3]


def test_golden_phong():
    assert_golden(GOLDEN / "phong.png", hard(colored(ico_sphere(3))))


def test_golden_flat():
    assert_golden(GOLDEN / "flat.png", hard(colored(ico_sphere(1)), HardFlatShader))


def test_golden_a_torus_hides_itself():
    assert_golden(GOLDEN / "torus.png", hard(colored(torus(0.3, 0.8, 16, 32))))


def test_golden_two_triangles_interpenetrate():
    verts = torch.tensor(
        [[-1.0, -0.8, 0.5], [1.0, -0.6, -0.5], [0.0, 0.9, 0.0], [-0.9, 0.7, -0.5], [0.9, 0.7, 0.5], [0.0, -0.9, 0.0]]
    )
    assert_golden(
        GOLDEN / "interpenetrating.png", hard(colored(Meshes([verts], [torch.tensor([[0, 1, 2], [3, 4, 5]])])))
    )


def test_golden_the_eye_inside():
    assert_golden(GOLDEN / "inside.png", hard(colored(ico_sphere(2)), distance=0.6))


@pytest.mark.parametrize("sigma", [1e-4, 1e-3])
def test_golden_soft_silhouette(sigma):
    blend = BlendParams(sigma=sigma)
    radius = 2 * sigma * torch.log(torch.tensor(1 / 1e-4 - 1)).item()
    settings = RasterizationSettings(image_size=SIZE, blur_radius=radius, faces_per_pixel=40)
    renderer = MeshRenderer(MeshRasterizer(cameras(), settings), SoftSilhouetteShader(blend_params=blend))
    alpha = renderer(torus(0.3, 0.8, 12, 24))[0, ..., 3:]
    assert_golden(GOLDEN / f"silhouette_{sigma:g}.png", alpha.expand(-1, -1, 3))
