# SPDX-License-Identifier: Apache-2.0
"""MeshRasterizer: projection of vertices and defaults that depend on the camera."""

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.renderer.cameras import (
    FoVOrthographicCameras,
    FoVPerspectiveCameras,
    OrthographicCameras,
    PerspectiveCameras,
    look_at_view_transform,
)
from patina3d.renderer.mesh import rasterizer as module
from patina3d.renderer.mesh.rasterizer import Fragments, MeshRasterizer, RasterizationSettings
from patina3d.structures import Meshes

FACES = torch.tensor([[0, 1, 2], [2, 1, 3]])


def meshes(dtype=torch.float64) -> Meshes:
    verts = torch.tensor([[0, 0, 0], [1, 0, 0.2], [0, 1, -0.1], [1.2, 1.1, 0.4]], dtype=dtype)
    return Meshes([verts, verts[:3] * 0.5], [FACES, FACES[:1]])


def pose() -> dict[str, torch.Tensor]:
    R, T = look_at_view_transform(3.0, torch.tensor([20.0, -10]), torch.tensor([30.0, 50]))
    return {"R": R.double(), "T": T.double()}


CAMERAS = {
    "fov perspective": lambda: FoVPerspectiveCameras(**pose()),
    "fov orthographic": lambda: FoVOrthographicCameras(**pose(), max_x=1.5),
    "perspective": lambda: PerspectiveCameras(**pose(), focal_length=2.0),
    "orthographic": lambda: OrthographicCameras(**pose()),
    "screen": lambda: PerspectiveCameras(
        **pose(), focal_length=40.0, principal_point=((40.0, 20.0),), in_ndc=False, image_size=((50, 80),)
    ),
}


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What MeshRasterizer asks of rasterize_meshes."""
    seen = {}

    def rasterize_meshes(meshes, **kwargs):
        seen.update(kwargs, meshes=meshes)
        return (torch.zeros(0),) * 4

    monkeypatch.setattr(module, "rasterize_meshes", rasterize_meshes)
    return seen


@pytest.mark.parametrize("kind", CAMERAS)
def test_transform_is_the_camera_s_projection_with_view_depth(kind):
    cameras, mesh = CAMERAS[kind](), meshes()
    projected = MeshRasterizer(cameras).transform(mesh)
    padded = mesh.verts_padded()
    xy = cameras.transform_points_ndc(padded)[..., :2]
    z = cameras.get_world_to_view_transform().transform_points(padded)[..., 2:]
    expected = torch.cat([xy, z], dim=-1)
    assert torch.allclose(projected.verts_padded()[0], expected[0])
    assert torch.allclose(projected.verts_padded()[1, :3], expected[1, :3])
    assert torch.equal(projected.faces_packed(), mesh.faces_packed())
    assert projected.textures is mesh.textures


def test_cameras_without_a_matrix_project_world_points():
    class Fisheye(FoVPerspectiveCameras):
        def get_projection_transform(self, **kwargs):
            raise NotImplementedError

        def transform_points(self, points, eps=None, **kwargs):
            view = self.get_world_to_view_transform(**kwargs).transform_points(points)
            return view / (1 + view.norm(dim=-1, keepdim=True))

    cameras, mesh = Fisheye(**pose()), meshes()
    projected = MeshRasterizer(cameras).transform(mesh).verts_padded()
    view = cameras.get_world_to_view_transform().transform_points(mesh.verts_padded())
    assert torch.allclose(projected[..., 2], view[..., 2])
    assert torch.allclose(projected[..., :2], cameras.transform_points(mesh.verts_padded())[..., :2])


def test_keywords_override_the_cameras():
    mesh, own, other = meshes(), CAMERAS["perspective"](), CAMERAS["fov perspective"]()
    rasterizer = MeshRasterizer(own)
    expected = MeshRasterizer(other).transform(mesh).verts_packed()
    assert torch.equal(rasterizer.transform(mesh, cameras=other).verts_packed(), expected)
    move = torch.tensor([[0.0, 0.1, 5.0]]).double()
    assert torch.allclose(
        rasterizer.transform(mesh, T=move.expand(2, 3)).verts_packed(),
        MeshRasterizer(PerspectiveCameras(R=pose()["R"], T=move, focal_length=2.0)).transform(mesh).verts_packed(),
    )


@pytest.mark.parametrize("kind", CAMERAS)
def test_gradcheck_of_transform(kind):
    verts = meshes().verts_list()[0].clone().requires_grad_()
    T = pose()["T"].requires_grad_()

    def project(verts, T):
        cameras = CAMERAS[kind]()
        mesh = Meshes([verts, verts[:3]], [FACES, FACES[:1]])
        return MeshRasterizer(cameras).transform(mesh, T=T).verts_packed()

    assert gradcheck(project, (verts, T))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vertex_on_the_camera_plane_is_finite(dtype):
    """Its gradient too, and that of the camera, also through padding at the camera's centre."""
    verts = torch.tensor([[1, 1, 0], [0, 0, 0], [0.5, -1, 2]], dtype=dtype, requires_grad=True)
    T = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    mesh = Meshes([verts, verts.new_zeros(0, 3)], [FACES[:1], FACES[:0]])
    projected = MeshRasterizer(FoVPerspectiveCameras(T=T)).transform(mesh).verts_packed()
    assert projected.isfinite().all()
    assert (projected[:, 2].abs() > 0).all()
    # x z is what remains of x when the face is cut before the plane.
    assert (projected[0, 0] * projected[0, 2]).item() == pytest.approx(3**0.5, rel=1e-6)
    for grad in torch.autograd.grad((projected[:, :2] * projected[:, 2:]).sum() + projected[:, 2].sum(), [verts, T]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("kind", ["fov perspective", "fov orthographic", "perspective", "orthographic"])
def test_defaults_follow_the_camera(kind, asked):
    MeshRasterizer(CAMERAS[kind]())(meshes())
    perspective = "perspective" in kind
    assert asked["perspective_correct"] is perspective
    assert asked["clip_barycentric_coords"] is False
    assert asked["z_clip_value"] == (0.5 if kind == "fov perspective" else None)
    assert asked["image_size"] == 256
    assert asked["faces_per_pixel"] == 1


def test_the_nearest_znear_of_the_batch_decides(asked):
    rasterizer = MeshRasterizer(FoVPerspectiveCameras(**pose(), znear=[0.8, 0.2]))
    rasterizer(meshes())
    assert asked["z_clip_value"] == pytest.approx(0.1)
    rasterizer(meshes(), znear=0.6)
    assert asked["z_clip_value"] == pytest.approx(0.3)


def test_settings_are_handed_on(asked):
    settings = {
        "image_size": (3, 5),
        "blur_radius": 0.1,
        "faces_per_pixel": 7,
        "bin_size": 4,
        "max_faces_per_bin": 9,
        "perspective_correct": False,
        "clip_barycentric_coords": False,
        "cull_backfaces": True,
        "z_clip_value": 0.25,
        "cull_to_frustum": True,
    }
    rasterizer = MeshRasterizer(CAMERAS["fov perspective"]())
    rasterizer(meshes(), raster_settings=RasterizationSettings(**settings))
    assert {name: asked[name] for name in settings} == settings
    rasterizer(meshes(), raster_settings=RasterizationSettings(blur_radius=0.1))
    assert asked["clip_barycentric_coords"] is True
    rasterizer(meshes(), raster_settings=RasterizationSettings(perspective_correct=False))
    assert asked["z_clip_value"] is None


def test_rasterizes_what_the_camera_sees():
    """A triangle before the camera covers the pixels whose centres lie in it."""
    verts = torch.tensor([[1.0, -1, 2], [-1, -1, 2], [-1, 1, 2]], dtype=torch.float64)
    cameras = FoVPerspectiveCameras(fov=90.0)
    found = MeshRasterizer(cameras, RasterizationSettings(image_size=8))(Meshes([verts], [FACES[:1]]))
    # In NDC the corners are (0.5, -0.5), (-0.5, -0.5) and (-0.5, 0.5); +X is left, +Y is up.
    x = (1 - (2 * torch.arange(8) + 1) / 8)[None, :]
    y = (1 - (2 * torch.arange(8) + 1) / 8)[:, None]
    inside = (x > -0.5) & (y > -0.5) & (x + y < 0)
    assert torch.equal(found.pix_to_face[0, ..., 0] == 0, inside)
    assert torch.equal(found.pix_to_face[0, ..., 0] == -1, ~inside)
    assert torch.allclose(found.zbuf[0, ..., 0][inside], torch.tensor(2.0, dtype=torch.float64))
    assert torch.allclose(found.bary_coords[0, ..., 0, :][inside].sum(-1), torch.ones((), dtype=torch.float64))
    assert (found.dists[0, ..., 0][inside] < 0).all()


def test_a_wall_through_the_camera_plane_shows_its_true_depth():
    """Two triangles from behind the camera to z = 10: each pixel's depth is where its ray meets the plane y = -1."""
    verts = torch.tensor([[-50, -1, -3], [50, -1, -3], [50, -1, 10], [-50, -1, 10]], dtype=torch.float64)
    mesh = Meshes([verts], [torch.tensor([[0, 1, 2], [0, 2, 3]])])
    cameras = FoVPerspectiveCameras(fov=90.0, znear=0.2)
    found = MeshRasterizer(cameras, RasterizationSettings(image_size=32))(mesh)
    y = (1 - (2 * torch.arange(32).double() + 1) / 32)[:, None].expand(32, 32)
    depth = -1 / y
    seen = (depth > 0) & (depth < 10)
    assert torch.equal(found.pix_to_face[0, ..., 0] >= 0, seen)
    assert torch.allclose(found.zbuf[0, ..., 0][seen], depth[seen], rtol=1e-5)
    # The barycentrics are those of the original face: they name the point on the wall.
    bary = found.bary_coords[0, ..., 0, :][seen]
    points = (bary[:, None] @ verts[mesh.faces_packed()][found.pix_to_face[0, ..., 0][seen]])[:, 0]
    assert torch.allclose(points[:, 2], depth[seen], rtol=1e-5)
    assert torch.allclose(points[:, 1], torch.tensor(-1.0, dtype=torch.float64), atol=1e-6)


def test_cameras_are_needed_in_the_right_number():
    with pytest.raises(ValueError, match="MeshRasterizer: cameras must be given"):
        MeshRasterizer()(meshes())
    three = FoVPerspectiveCameras(T=torch.zeros(3, 3))
    with pytest.raises(ValueError, match="MeshRasterizer: cameras must be a batch of 1 or 2, as the meshes are, got 3"):
        MeshRasterizer(three)(meshes())


def test_default_settings_and_to(device):
    cameras = FoVPerspectiveCameras()
    rasterizer = MeshRasterizer(cameras)
    assert rasterizer.raster_settings == RasterizationSettings()
    assert rasterizer.to(device) is rasterizer
    assert rasterizer.cameras is cameras
    assert cameras.R.device.type == device.type
    assert MeshRasterizer().to(device).cameras is None


def test_fragments_detach():
    tensors = [torch.rand(1, 2, 2, 1, requires_grad=True) for _ in range(3)]
    found = Fragments(torch.zeros(1, 2, 2, 1, dtype=torch.int64), *tensors)
    apart = found.detach()
    assert apart.pix_to_face is found.pix_to_face
    for name in ("zbuf", "bary_coords", "dists"):
        assert not getattr(apart, name).requires_grad
        assert torch.equal(getattr(apart, name), getattr(found, name))
    assert Fragments(found.pix_to_face, *tensors[:2], None).detach().dists is None
    with pytest.raises(AttributeError):
        found.zbuf = None
