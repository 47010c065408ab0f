# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of triangles: the definition, gradients, laws, edges, errors, torch's machinery."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import patina3d.structures.mesh_face_areas_normals as home
from patina3d.core import _native
from patina3d.io import load_obj
from patina3d.ops import mesh_face_areas_normals
from patina3d.structures import Meshes
from patina3d.structures._reference.mesh_face_areas_normals import mesh_face_areas_normals as reference
from patina3d.transforms import random_rotation
from patina3d.utils import ico_sphere
from support.meshes import real_mesh
from support.random_meshes import random_lists

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
seeds = st.integers(0, 2**31 - 1)

TRIANGLE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
FACES = torch.tensor([[0, 1, 2]])


def random_mesh(
    num_verts: int, num_faces: int, *, seed: int = 0, dtype: torch.dtype = torch.float64, degenerate: bool = True
) -> tuple[Tensor, Tensor]:
    (verts,), (faces,) = random_lists([(num_verts, num_faces)], dtype=dtype, seed=seed)
    a, b, c = faces.unbind(1)
    return verts, faces if degenerate else faces[(a != b) & (b != c) & (c != a)]


@emulated
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-5), (torch.float16, 1e-2)])
def test_definition(dtype, tolerance, device):
    verts, faces = random_mesh(12, 60, dtype=dtype)
    areas, normals = mesh_face_areas_normals(verts.to(device), faces.to(device))
    want_areas, want_normals = reference(verts.double(), faces)
    assert areas.dtype == normals.dtype == dtype
    torch.testing.assert_close(areas.double().cpu(), want_areas, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(normals.double().cpu(), want_normals, rtol=tolerance, atol=tolerance)


def test_anchor():
    areas, normals = mesh_face_areas_normals(TRIANGLE, FACES)
    assert areas.tolist() == [0.5]
    assert normals.tolist() == [[0, 0, 1]]
    # Numbers that are exact stay so.
    areas, normals = mesh_face_areas_normals(3 * TRIANGLE, FACES)
    assert areas.tolist() == [4.5]
    assert normals.tolist() == [[0, 0, 1]]


def test_that_of_meshes():
    mesh = ico_sphere(1)
    areas, normals = mesh_face_areas_normals(mesh.verts_packed(), mesh.faces_packed())
    assert torch.equal(areas, mesh.faces_areas_packed())
    assert torch.equal(normals, mesh.faces_normals_packed())


@emulated
@pytest.mark.parametrize("of", ["areas", "normals", "both"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_gradient_equals_that_of_the_definition(of, dtype, tolerance, device):
    verts, faces = random_mesh(12, 60)
    weights = [torch.randn(len(faces), dtype=torch.float64), torch.randn(len(faces), 3, dtype=torch.float64)]
    chosen = {"areas": [0], "normals": [1], "both": [0, 1]}[of]

    def gradient(compute, verts: Tensor, faces: Tensor) -> Tensor:
        verts = verts.clone().requires_grad_()
        found = compute(verts, faces)
        return torch.autograd.grad(sum((found[i] * weights[i].to(found[i])).sum() for i in chosen), verts)[0]

    got = gradient(mesh_face_areas_normals, verts.to(device, dtype), faces.to(device))
    want = gradient(reference, verts, faces)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double().cpu(), want, rtol=tolerance, atol=tolerance * want.abs().max().item())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gradcheck(scale, device):
    verts, faces = random_mesh(6, 9, degenerate=False)
    verts, faces = verts.to(device).requires_grad_(), faces.to(device)

    def scaled(x: Tensor) -> tuple[Tensor, Tensor]:
        areas, normals = mesh_face_areas_normals(scale * x, faces)
        return areas / scale**2, normals

    assert gradcheck(scaled, (verts,))
    assert gradgradcheck(scaled, (verts,))


def test_gradgradcheck_of_each_output_alone(device):
    verts, faces = random_mesh(6, 9, degenerate=False)
    verts, faces = verts.to(device).requires_grad_(), faces.to(device)
    for output in (0, 1):
        assert gradgradcheck(lambda x, output=output: mesh_face_areas_normals(x, faces)[output], (verts,))


def test_third_derivative(device):
    verts = (TRIANGLE.double() + 0.1).to(device).requires_grad_()

    def second(x: Tensor) -> Tensor:
        areas, normals = mesh_face_areas_normals(x, FACES.to(device))
        (first,) = torch.autograd.grad(areas.square().sum() + normals[:, 0].sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x, create_graph=True)[0]

    assert gradcheck(second, (verts,))


EXTREMES = [(1e20, 1e20), (1.0, 1e-20), (1e-24, 1.0), (1e-30, 1e-30), (1e15, 1e-15), (1e-18, 1e18), (1.0, 1.0)]


@pytest.mark.parametrize(("width", "height"), EXTREMES)
@pytest.mark.parametrize("of", [0, 1])
def test_second_derivative_at_any_scale_of_each_edge(of, width, height, device):
    scales = torch.tensor([[0.0], [width], [height]], dtype=torch.float64)
    verts = scales * torch.tensor([[0, 0, 0], [1, 0.25, -0.5], [0.5, 1, 0.25]], dtype=torch.float64)
    # The result is representable: of the area for every motion, of the normal where that is as long as the edges.
    motion = torch.tensor([[0.3, -0.2, 0.9], [0.7, 0.4, -0.6], [-0.5, 0.8, 0.1]], dtype=torch.float64)
    motion = motion * scales if of == 1 else motion
    weights = [torch.tensor([0.7]), torch.tensor([[0.2, -0.6, 0.5]])][of].double()

    def second(compute, dtype: torch.dtype) -> tuple[Tensor, ...]:
        x, weight = (value.to(device, dtype).requires_grad_() for value in (verts, weights))
        (first,) = torch.autograd.grad(compute(x, FACES.to(device))[of], x, weight, create_graph=True)
        return torch.autograd.grad(first, (x, weight), motion.to(device, dtype))

    for got, want in zip(second(mesh_face_areas_normals, torch.float32), second(reference, torch.float64), strict=True):
        assert want.abs().max() > 0
        assert (got.double() - want).abs().max() <= 1e-5 * want.abs().max()


def test_second_derivative_of_a_degenerate_face_is_finite_at_any_scale(device):
    motion = torch.tensor([[0.3, -0.2, 0.9], [0.7, 0.4, -0.6], [-0.5, 0.8, 0.1]], device=device)
    for width, height in ((0.0, 0.0), (1e-38, 1e-38), (1e-38, 1e30), (0.0, 1e30)):
        direction = torch.tensor([1.0, 0.25, -0.5], device=device)
        verts = torch.stack([0 * direction, width * direction, height * direction]).requires_grad_()
        areas, normals = mesh_face_areas_normals(verts, FACES.to(device))
        (first,) = torch.autograd.grad(areas.sum() + normals.sum(), verts, create_graph=True)
        assert torch.autograd.grad(first, verts, motion)[0].isfinite().all()


# Laws.


@emulated
@given(seeds, st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]))
def test_scale(seed, exponent, dtype):
    # Powers of two from 1e-6 to 1e6: scaling is exact, and so is what it does.
    verts, faces = random_mesh(8, 12, seed=seed, dtype=dtype)
    scale = 2.0**exponent
    (areas, normals), (scaled_areas, scaled_normals) = (mesh_face_areas_normals(s * verts, faces) for s in (1.0, scale))
    assert torch.equal(scaled_areas, scale**2 * areas)
    assert torch.equal(scaled_normals, normals)


@given(seeds, st.floats(-6, 6))
def test_rigid_motion(seed, exponent):
    torch.manual_seed(seed)
    verts, faces = random_mesh(8, 12, seed=seed)
    rotation, shift, scale = random_rotation(torch.float64), torch.randn(3, dtype=torch.float64), 10**exponent
    areas, normals = mesh_face_areas_normals(verts, faces)
    moved_areas, moved_normals = mesh_face_areas_normals(scale * (verts @ rotation.T + shift), faces)
    torch.testing.assert_close(moved_areas / scale**2, areas, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moved_normals, normals @ rotation.T, rtol=1e-8, atol=1e-8)


@emulated
@given(seeds)
def test_order_of_faces_and_corners(seed):
    verts, faces = random_mesh(8, 12, seed=seed)
    areas, normals = mesh_face_areas_normals(verts, faces)
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(seed))
    permuted_areas, permuted_normals = mesh_face_areas_normals(verts, faces[order])
    assert torch.equal(permuted_areas, areas[order])
    assert torch.equal(permuted_normals, normals[order])
    flipped_areas, flipped_normals = mesh_face_areas_normals(verts, faces.flip(1))
    torch.testing.assert_close(flipped_areas, areas)
    torch.testing.assert_close(flipped_normals, -normals)


@pytest.mark.parametrize("name", ["fandisk", "rocker-arm", "spot", "stanford-bunny", "suzanne", "teapot"])
def test_real_meshes(name):
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    faces = faces.verts_idx
    areas, normals = mesh_face_areas_normals(verts, faces)
    a, b, c = verts.double()[faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)
    torch.testing.assert_close(areas.double(), cross.norm(dim=1) / 2, rtol=1e-3, atol=1e-9)
    lengths = normals.norm(dim=1)
    assert ((lengths - 1).abs() < 1e-5).logical_or(lengths == 0).all()
    sound = areas > 1e-3 * areas.mean()
    assert (lengths[sound] > 0.5).all()
    torch.testing.assert_close(
        normals[sound].double(), (cross / cross.norm(dim=1, keepdim=True))[sound], rtol=0, atol=1e-3
    )


# Edges.


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_scale_of_each_edge(dtype, device):
    # Edges whose products or squares neither fit nor vanish.
    tiny, huge = (1e-30, 1e30) if dtype == torch.float32 else (1e-250, 1e250)
    for width, height in ((tiny, tiny), (tiny, huge), (huge, tiny), (huge, huge), (1.0, tiny), (huge, 1.0)):
        verts = torch.tensor([[0, 0, 0], [width, 0, 0], [0, height, 0]], dtype=dtype, device=device)
        areas, normals = mesh_face_areas_normals(verts, FACES.to(device))
        assert normals.tolist() == [[0, 0, 1]]
        want = torch.tensor([width], dtype=dtype) * torch.tensor([height], dtype=dtype) / 2
        torch.testing.assert_close(areas.cpu(), want, rtol=1e-6, atol=0)


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "corners",
    [
        [[0.0, 0, 0]] * 3,
        [[0, 0, 0], [1, 1, 1], [2, 2, 2]],
        [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3]],
        [[0.3, 0.1, 0.7], [0.3, 0.1, 0.7], [0.5, 0.2, 0.9]],
        [[0.3, 0.1, 0.7], [0.5, 0.2, 0.9], [0.5, 0.2, 0.9]],
    ],
)
def test_degenerate_faces(corners, scale, dtype, device):
    verts = (scale * torch.tensor(corners, dtype=dtype)).to(device).requires_grad_()
    areas, normals = mesh_face_areas_normals(verts, FACES.to(device))
    assert not normals.any()
    assert areas < 1e-6 * scale**2
    (gradient,) = torch.autograd.grad(areas.sum() + normals.sum(), verts, create_graph=True)
    assert gradient.isfinite().all()
    assert gradient.abs().max() <= 2 * scale
    (second,) = torch.autograd.grad(gradient.square().sum(), verts)
    assert second.isfinite().all()


@emulated
def test_the_gradient_of_a_sound_face_does_not_see_a_degenerate_one(device):
    verts = torch.rand(4, 3, dtype=torch.float64, device=device, requires_grad=True)
    both, alone = torch.tensor([[0, 1, 2], [3, 3, 0]], device=device), torch.tensor([[0, 1, 2]], device=device)
    got, want = (
        torch.autograd.grad(sum(x.sum() for x in mesh_face_areas_normals(verts, f)), verts)[0] for f in (both, alone)
    )
    assert torch.equal(got, want)


@emulated
def test_not_finite(device):
    verts = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [float("nan"), 0, 0], [float("inf"), 0, 0]], device=device)
    areas, normals = mesh_face_areas_normals(verts, torch.tensor([[0, 1, 2], [0, 1, 3], [0, 4, 2]], device=device))
    assert areas[0] == 0.5
    assert areas[1].isnan()
    assert not areas[2].isfinite()
    assert normals[1].isnan().all()
    assert normals[2].isnan().all()


@emulated
@pytest.mark.parametrize("num_verts", [0, 3])
def test_no_faces(num_verts, device):
    verts = torch.rand(num_verts, 3, device=device, requires_grad=True)
    areas, normals = mesh_face_areas_normals(verts, torch.zeros((0, 3), dtype=torch.int64, device=device))
    assert areas.shape == (0,)
    assert normals.shape == (0, 3)
    (areas.sum() + normals.sum()).backward()
    assert verts.grad.shape == verts.shape
    assert not verts.grad.any()
    assert Meshes([verts], [FACES[:0].to(device)]).faces_areas_packed().shape == (0,)


@emulated
def test_strides_and_lazy_negation(device):
    verts, faces = random_mesh(8, 12)
    verts, faces = verts.to(device), faces.to(device)
    want = mesh_face_areas_normals(verts, faces)
    transposed = verts.T.contiguous().T
    every_other = faces.repeat_interleave(2, dim=0)[::2]
    negated = torch._neg_view(-verts)
    assert negated.is_neg()
    for v, f in ((transposed, faces), (verts, every_other), (negated, faces.T.contiguous().T)):
        for got, expected in zip(mesh_face_areas_normals(v, f), want, strict=True):
            assert torch.equal(got, expected)
    areas, normals = mesh_face_areas_normals(verts, faces[:1].expand(5, 3))
    assert torch.equal(areas, want[0][:1].expand(5))
    assert torch.equal(normals, want[1][:1].expand(5, 3))


@emulated
def test_gradients_of_strided_and_negated_upstreams(device):
    verts, faces = random_mesh(8, 12)
    verts, faces = verts.to(device).requires_grad_(), faces.to(device)
    areas, normals = mesh_face_areas_normals(verts, faces)
    plain = [torch.full_like(x, -3) for x in (areas, normals)]
    strided = [x.new_full((1,), -3).expand_as(x) for x in (areas, normals)]
    negated = [torch._neg_view(torch.full_like(x, 3)) for x in (areas, normals)]
    gradients = [
        torch.autograd.grad((areas, normals), verts, up, retain_graph=True)[0] for up in (plain, strided, negated)
    ]
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_half_precision_neither_overflows_nor_underflows(dtype, scale, device):
    verts = (scale * TRIANGLE).to(device, dtype).requires_grad_()
    areas, normals = mesh_face_areas_normals(verts, FACES.to(device))
    assert areas.dtype == normals.dtype == dtype
    assert normals.tolist() == [[0, 0, 1]]
    normals[:, 2].sum().backward()
    assert verts.grad.dtype == dtype
    assert verts.grad.isfinite().all()


@emulated
def test_a_vertex_of_many_faces(device):
    # The segments of the sorted corners: a hub of a long fan, loose vertices, and a count of vertices beyond one tile.
    num = 3000
    around = torch.linspace(0, 6, num, dtype=torch.float64)
    ring = torch.stack([around.cos(), around.sin(), 0.1 * around], dim=1)
    verts = torch.cat([torch.zeros(1, 3, dtype=torch.float64), ring, torch.ones(2000, 3, dtype=torch.float64)])
    faces = torch.stack(
        [torch.zeros(num - 1, dtype=torch.int64), torch.arange(1, num), torch.arange(2, num + 1)], dim=1
    )
    weights = torch.randn(num - 1, 3, dtype=torch.float64)
    leaf = verts.to(device, copy=True).requires_grad_()
    areas, normals = mesh_face_areas_normals(leaf, faces.to(device))
    (areas.sum() + (normals * weights.to(device)).sum()).backward()
    corners = verts[faces].requires_grad_()
    cross = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = cross / cross.norm(dim=1, keepdim=True)
    (cross.norm(dim=1).sum() / 2 + (unit * weights).sum()).backward()
    want = torch.zeros_like(verts).index_add(0, faces.reshape(-1), corners.grad.reshape(-1, 3))
    torch.testing.assert_close(leaf.grad.cpu(), want, rtol=1e-9, atol=1e-6)
    assert not leaf.grad[num + 1 :].any()


def test_the_same_bits_for_every_number_of_threads_and_in_every_run():
    verts, faces = random_mesh(700, 20_000, dtype=torch.float32)
    verts.requires_grad_()
    weights = torch.randn(len(faces), 3)

    def everything() -> tuple[Tensor, ...]:
        areas, normals = mesh_face_areas_normals(verts, faces)
        return areas, normals, *torch.autograd.grad(areas.sum() + (normals * weights).sum(), verts)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            for a, b in zip(everything(), want, strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(before)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_gives_the_bits_of_the_cpu_and_waits_for_nothing(dtype):
    verts, faces = random_mesh(700, 20_000, dtype=dtype)
    here, there = verts.clone().requires_grad_(), verts.cuda().requires_grad_()
    weights = torch.randn(len(faces), 3, dtype=dtype)
    there_faces, there_weights = faces.cuda(), weights.cuda()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = mesh_face_areas_normals(there, there_faces)
        gradients = [
            torch.autograd.grad(on_gpu, there, [torch.ones_like(on_gpu[0]), there_weights], retain_graph=True)[0]
            for _ in range(20)
        ]
    finally:
        torch.cuda.set_sync_debug_mode(before)
    on_cpu = mesh_face_areas_normals(here, faces)
    (want,) = torch.autograd.grad(on_cpu, here, [torch.ones_like(on_cpu[0]), weights])
    for a, b in zip(on_gpu, on_cpu, strict=True):
        assert torch.equal(a.cpu(), b)
    for gradient in gradients:
        assert torch.equal(gradient.cpu(), want)


# Errors.


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "verts must be a torch.Tensor, got list", {"verts": [[0.0] * 3]}),
        (TypeError, "faces must be a torch.Tensor, got ndarray", {"faces": FACES.numpy()}),
        (TypeError, "verts must be float32 or float64, got int64", {"verts": TRIANGLE.long()}),
        (TypeError, "faces must be int64, got int32", {"faces": FACES.int()}),
        (ValueError, "verts must be of shape (V, 3) = (_, 3), got (3, 2)", {"verts": TRIANGLE[:, :2]}),
        (ValueError, "verts must be of shape (V, 3) = (_, 3), got (1, 3, 3)", {"verts": TRIANGLE[None]}),
        (ValueError, "faces must be of shape (F, 3) = (_, 3), got (3,)", {"faces": FACES[0]}),
    ],
)
def test_errors(error, message, arguments):
    with pytest.raises(error, match=re.escape(f"mesh_face_areas_normals: {message}")):
        mesh_face_areas_normals(**{"verts": TRIANGLE, "faces": FACES, **arguments})


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_an_index_out_of_range(index):
    faces = torch.tensor([[0, 1, 2], [0, index, 2]])
    message = f"faces must be indices of 3 vertices, in [0, 3), got [0, {index}, 2] at 1"
    with pytest.raises(ValueError, match=re.escape(f"mesh_face_areas_normals: {message}")):
        mesh_face_areas_normals(TRIANGLE, faces)


def faces_out_of_range_are_empty(device: str) -> None:
    verts = TRIANGLE.to(device, copy=True).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, -1, 2], [3, 1, 2], [2**40, 0, -(2**40)]], device=device)
    areas, normals = mesh_face_areas_normals(verts, faces)
    assert areas.tolist() == [0.5, 0, 0, 0]
    assert normals.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    (got,) = torch.autograd.grad(areas.sum() + normals.sum(), verts)
    areas, normals = mesh_face_areas_normals(verts, faces[:1])
    assert torch.equal(got, torch.autograd.grad(areas.sum() + normals.sum(), verts)[0])


@pytest.mark.gpu
def test_faces_out_of_range_are_empty_on_cuda():
    faces_out_of_range_are_empty("cuda")


@emulated
@pytest.mark.skipif(not _native.is_emulating(), reason="on the CPU they are an error: run with PATINA3D_EMULATE_CUDA=1")
def test_faces_out_of_range_are_empty_emulated():
    faces_out_of_range_are_empty("cpu")


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"faces|device"):
        mesh_face_areas_normals(TRIANGLE.cuda(), FACES)


# Torch's machinery.


@torch_warns
def test_opcheck(device):
    verts, faces = random_mesh(6, 9, dtype=torch.float32)
    verts, faces = verts.to(device), faces.to(device)
    torch.library.opcheck(torch.ops.patina3d.mesh_face_areas_normals_forward.default, (verts, faces))
    areas, normals = mesh_face_areas_normals(verts, faces)
    backward = torch.ops.patina3d.mesh_face_areas_normals_backward.default
    for grads in ((areas, normals), (None, normals), (areas, None)):
        torch.library.opcheck(backward, (verts, faces, *grads))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    verts, faces = random_mesh(6, 9, degenerate=False)
    verts, faces = verts.to(device).requires_grad_(), faces.to(device)

    def loss(verts: Tensor, faces: Tensor) -> Tensor:
        areas, normals = mesh_face_areas_normals(verts, faces)
        return areas.square().sum() + normals[:, 0].sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    want, got = loss(verts, faces), compiled(verts, faces)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, verts), torch.autograd.grad(want, verts))


def test_functional_gradient(device):
    verts, faces = random_mesh(6, 9, degenerate=False)
    verts, faces = verts.to(device), faces.to(device)

    def loss(verts: Tensor) -> Tensor:
        return mesh_face_areas_normals(verts, faces)[0].square().sum()

    got = torch.func.grad(loss)(verts)
    (want,) = torch.autograd.grad(loss(verts.requires_grad_()), verts)
    assert got.abs().sum() > 0
    torch.testing.assert_close(got, want)


def test_the_bare_operators_have_no_derivative():
    leaf = TRIANGLE.clone().requires_grad_()
    areas, normals = torch.ops.patina3d.mesh_face_areas_normals_forward(leaf, FACES)
    with pytest.raises(RuntimeError, match="patina3d::mesh_face_areas_normals_forward has no derivative of its own"):
        areas.sum().backward()
    gradient = torch.ops.patina3d.mesh_face_areas_normals_backward(leaf, FACES, None, normals.detach())
    with pytest.raises(RuntimeError, match="patina3d::mesh_face_areas_normals_backward has no derivative of its own"):
        gradient.sum().backward()


def test_the_name_is_handed_on():
    assert mesh_face_areas_normals is home.mesh_face_areas_normals
