# SPDX-License-Identifier: Apache-2.0
"""Images laid over faces by texture coordinates."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import grid_sample

from patina3d.renderer import TexturesAtlas, TexturesUV, TexturesVertex, rasterize_meshes
from patina3d.structures import Meshes, join_meshes_as_batch, join_meshes_as_scene

VERTS, FACES, UVS, MAPS = [4, 3, 0, 5], [2, 1, 0, 3], [5, 3, 0, 4], [(3, 4), (5, 2), (1, 1), (2, 7)]
MODES = [(p, a, s) for p in ("border", "zeros", "reflection") for a in (True, False) for s in ("bilinear", "nearest")]


def parts(dtype: torch.dtype = torch.float64, low: float = 0.0, high: float = 1.0) -> dict[str, list[Tensor]]:
    """A batch of four, the third of which has nothing."""
    return {
        "maps": [torch.rand(h, w, 2, dtype=dtype) for h, w in MAPS],
        "faces_uvs": [torch.randint(max(t, 1), (f, 3)) for f, t in zip(FACES, UVS, strict=True)],
        "verts_uvs": [low + (high - low) * torch.rand(t, 2, dtype=dtype) for t in UVS],
    }


def meshes_with(textures: object, faces: list[int] = FACES) -> Meshes:
    verts = [torch.rand(v, 3, dtype=torch.float64) for v in VERTS]
    return Meshes(verts, [torch.randint(max(v, 1), (f, 3)) for v, f in zip(VERTS, faces, strict=True)], textures)


def fragments_of(faces: list[int], slots: int = 6) -> SimpleNamespace:
    """Each element's slots hold random faces of its own, or none."""
    pix_to_face, first = [], 0
    for count in faces:
        own = (
            torch.randint(first, first + count, (1, 2, slots // 2, 2))
            if count
            else torch.full((1, 2, slots // 2, 2), -1)
        )
        own[:, 0, 0, 1] = -1
        pix_to_face.append(own)
        first += count
    bary = torch.rand(len(faces), 2, slots // 2, 2, 3, dtype=torch.float64)
    return SimpleNamespace(pix_to_face=torch.cat(pix_to_face), bary_coords=bary / bary.sum(-1, keepdim=True))


def by_grid_sample(image: Tensor, uv: Tensor, padding: str, align: bool, mode: str) -> Tensor:
    """(M, C) of one image (H, W, C) at (M, 2)."""
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
    chw = image.permute(2, 0, 1)[None]
    return grid_sample(chw, grid, mode=mode, padding_mode=padding, align_corners=align)[0, :, 0].T


def assert_same(textures: TexturesUV, given: dict[str, list[Tensor]], elements: list[int]) -> None:
    assert len(textures) == len(elements)
    for name, rows in given.items():
        kept = getattr(textures, f"{name}_list")()
        assert len(kept) == len(elements)
        for row, element in zip(kept, elements, strict=True):
            assert torch.equal(row, rows[element])


# Sampling


def test_anchor_values():
    image = torch.arange(12.0).reshape(1, 3, 4, 1)
    uvs = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.25, 0.75]]])
    fragments = SimpleNamespace(
        pix_to_face=torch.zeros(1, 1, 1, 1, dtype=torch.int64),
        bary_coords=torch.tensor([0.2, 0.3, 0.5]).expand(1, 1, 1, 1, 3),
    )
    for align, padding, texel, corners in [
        (True, "border", 6.275, [8, 11, 2.75]),
        (False, "border", 6.7, [8, 11, 1.5]),
        (False, "zeros", 6.7, [2, 2.75, 1.5]),
    ]:
        textures = TexturesUV(image, torch.tensor([[[0, 1, 2]]]), uvs, align_corners=align, padding_mode=padding)
        assert textures.sample_textures(fragments).item() == pytest.approx(texel, rel=1e-6)
        assert textures.faces_verts_textures_packed().flatten().tolist() == pytest.approx(corners, rel=1e-6)


@pytest.mark.parametrize(("padding", "align", "mode"), MODES)
@pytest.mark.parametrize("form", ["list", "padded"])
def test_sampling_is_grid_sample_at_each_map(padding: str, align: bool, mode: str, form: str):
    """Also far outside of [0, 1], and with one texel along a side; each map keeps its own size."""
    values = parts(low=-2.0, high=3.0)
    if form == "padded":
        values["maps"] = torch.rand(4, 3, 5, 2, dtype=torch.float64)
    textures = TexturesUV(**values, padding_mode=padding, align_corners=align, sampling_mode=mode)
    meshes, fragments = meshes_with(textures), fragments_of(FACES)
    texels = meshes.sample_textures(fragments)
    assert texels.shape == (4, 2, 3, 2, 2)
    first = 0
    for n, count in enumerate(FACES):
        for slot in range(12):
            face = fragments.pix_to_face[n].flatten()[slot].item()
            got = texels[n].reshape(12, 2)[slot]
            if face < 0:
                assert (got == 0).all()
                continue
            corners = values["verts_uvs"][n][values["faces_uvs"][n][face - first]]
            uv = fragments.bary_coords[n].reshape(12, 3)[slot] @ corners
            expected = by_grid_sample(values["maps"][n], uv[None], padding, align, mode)[0]
            assert torch.allclose(got, expected, atol=1e-12)
        first += count


@pytest.mark.parametrize(("padding", "align", "mode"), MODES)
def test_gradients(padding: str, align: bool, mode: str):
    torch.manual_seed(3)
    values = parts(low=-0.6, high=1.6)
    leaves = [x.requires_grad_() for x in (*values["maps"], *values["verts_uvs"]) if x.numel()]
    fragments = fragments_of(FACES, slots=2)

    def sample(*_: Tensor) -> Tensor:
        textures = TexturesUV(**values, padding_mode=padding, align_corners=align, sampling_mode=mode)
        return meshes_with(textures).sample_textures(fragments)

    assert gradcheck(sample, leaves)


def test_second_derivatives():
    torch.manual_seed(5)
    values = parts()
    fragments = fragments_of(FACES, slots=2)

    def sample(image: Tensor, uvs: Tensor) -> Tensor:
        textures = TexturesUV([image, *values["maps"][1:]], values["faces_uvs"], [uvs, *values["verts_uvs"][1:]])
        return meshes_with(textures).sample_textures(fragments)[0]

    assert gradgradcheck(sample, (values["maps"][0].requires_grad_(), values["verts_uvs"][0].requires_grad_()))


def test_barycentric_gradient():
    fragments = fragments_of(FACES, slots=2)
    meshes = meshes_with(TexturesUV(**parts()))

    def sample(bary: Tensor) -> Tensor:
        return meshes.sample_textures(SimpleNamespace(pix_to_face=fragments.pix_to_face, bary_coords=bary))

    assert gradcheck(sample, (fragments.bary_coords.requires_grad_(),))


def test_asking_about_every_slot_gives_the_same(monkeypatch):
    """As on a GPU, where the host does not wait for the number of slots that hold a face."""
    values = parts()
    values["maps"] = [image.requires_grad_() for image in values["maps"]]
    meshes, fragments = meshes_with(TexturesUV(**values)), fragments_of(FACES)
    expected = meshes.sample_textures(fragments)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    texels = meshes.sample_textures(fragments)
    assert torch.allclose(texels, expected, atol=1e-15)
    weights = torch.rand_like(texels)
    for image in (values["maps"][0], values["maps"][3]):
        got, wanted = (
            torch.autograd.grad((weights * x).sum(), image, retain_graph=True)[0] for x in (texels, expected)
        )
        assert torch.allclose(got, wanted, atol=1e-14)


def test_a_picture():
    """A triangle that covers the image shows its map, upright and not mirrored."""
    image = torch.rand(8, 8, 3)
    corners = torch.tensor([[3.0, 1, 1], [-1, 1, 1], [-1, -3, 1]])
    uvs = torch.stack([1 - corners[:, 0], 1 + corners[:, 1]], 1) / 2
    faces = torch.tensor([[0, 1, 2]])
    mesh = Meshes([corners], [faces], TexturesUV([image], [faces], [uvs], align_corners=False))
    pix_to_face, _, bary, _ = rasterize_meshes(mesh, image_size=8, faces_per_pixel=1)
    texels = mesh.sample_textures(SimpleNamespace(pix_to_face=pix_to_face, bary_coords=bary))
    assert torch.allclose(texels[0, :, :, 0], image, atol=1e-5)


@given(st.integers(0, 2**31))
def test_a_batch_of_one_is_itself_in_a_batch(seed: int):
    torch.manual_seed(seed)
    textures = TexturesUV(**parts())
    meshes, fragments = meshes_with(textures), fragments_of(FACES)
    whole = meshes.sample_textures(fragments)
    corners = textures.faces_verts_textures_packed().split(FACES)
    first = 0
    for n, count in enumerate(FACES):
        own = fragments.pix_to_face[n : n + 1]
        alone = SimpleNamespace(
            pix_to_face=torch.where(own < 0, -1, own - first), bary_coords=fragments.bary_coords[n : n + 1]
        )
        assert torch.equal(meshes[n].sample_textures(alone), whole[n : n + 1])
        assert torch.equal(meshes[n].textures.faces_verts_textures_packed(), corners[n])
        first += count


def test_faces_choose_among_maps():
    """Ids are those of the face's own mesh, also where meshes have unequally many faces; maps do not blend."""
    values = parts()
    stacks = [torch.rand(depth, 3, 4, 2, dtype=torch.float64) for depth in (3, 1, 1, 2)]
    ids = [torch.randint(len(stack), (f,)) for stack, f in zip(stacks, FACES, strict=True)]
    for align in (True, False):
        textures = TexturesUV(stacks, values["faces_uvs"], values["verts_uvs"], maps_ids=ids, align_corners=align)
        corners = textures.faces_verts_textures_packed().split(FACES)
        for n, count in enumerate(FACES):
            for face in range(count):
                uv = values["verts_uvs"][n][values["faces_uvs"][n][face]]
                expected = by_grid_sample(stacks[n][ids[n][face]], uv, "border", align, "bilinear")
                assert torch.allclose(corners[n][face], expected, atol=1e-12)


def test_multiple_maps_in_padded_form():
    maps = torch.rand(2, 3, 4, 5, 1)
    faces, uvs = torch.randint(6, (2, 4, 3)), torch.rand(2, 6, 2)
    ids = torch.randint(3, (2, 4))
    textures = TexturesUV(maps, faces, uvs, maps_ids=ids)
    corners = textures.faces_verts_textures_packed()
    for n in range(2):
        for face in range(4):
            expected = by_grid_sample(maps[n, ids[n, face]], uvs[n, faces[n, face]], "border", True, "bilinear")
            assert torch.allclose(corners[4 * n + face], expected, atol=1e-5)
    assert torch.equal(textures.maps_ids_padded(), ids)
    scene = textures.join_scene()
    assert torch.equal(scene.faces_verts_textures_packed(), corners)
    assert scene.maps_padded().shape == (1, 6, 4, 5, 1)
    with pytest.raises(ValueError, match="must have one size"):
        textures.join_batch(
            [TexturesUV([torch.rand(1, 2, 2, 1)], faces[:1], uvs[:1], maps_ids=ids[:1] * 0)]
        ).join_scene()


def test_a_corner_without_coordinates_is_at_the_origin():
    uvs = torch.tensor([[0.5, 0.5], [1.0, 1.0]])
    image = torch.rand(3, 3, 1)
    corners = TexturesUV([image], [torch.tensor([[-1, 0, 1]])], [uvs]).faces_verts_textures_packed()
    assert torch.allclose(corners[0, :, 0], torch.stack([image[2, 0, 0], image[1, 1, 0], image[0, 2, 0]]))


@pytest.mark.parametrize("padding", ["border", "zeros", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_coordinates_that_are_no_numbers_stay_in_their_slot(padding: str, mode: str):
    uvs = torch.tensor([[torch.nan, 0.5], [torch.inf, 0.5], [0.5, 0.5]])
    textures = TexturesUV([torch.ones(3, 3, 1)], [torch.tensor([[0, 1, 2]])], [uvs], padding_mode=padding,
                          sampling_mode=mode)  # fmt: skip
    assert textures.faces_verts_textures_packed()[0, 2, 0] == 1


def test_types():
    """The wider type of images and coordinates; nothing is cast to float32."""
    values = parts(torch.float32)
    assert TexturesUV(**values).faces_verts_textures_packed().dtype == torch.float32
    values["maps"] = [image.half() for image in values["maps"]]
    assert TexturesUV(**values).faces_verts_textures_packed().dtype == torch.float32
    values["verts_uvs"] = [uvs.double() for uvs in values["verts_uvs"]]
    assert TexturesUV(**values).faces_verts_textures_packed().dtype == torch.float64
    values["maps"] = [torch.zeros(2, 2, 1, dtype=torch.uint8)] * 4
    with pytest.raises(TypeError, match="maps must be floating to be sampled"):
        TexturesUV(**values).faces_verts_textures_packed()


def test_a_shared_map_is_kept_once():
    image = torch.rand(8, 8, 3, requires_grad=True)
    one = TexturesUV([image], [torch.tensor([[0, 0, 0]])], [torch.rand(1, 2)])
    assert one.extend(5)._maps.table().texels.shape == (64, 3)
    assert one.extend(5)._maps.table().texels.data_ptr() == image.data_ptr()
    for changed in (one.extend(5).clone(), one.extend(5).detach(), one.extend(5).to("cpu")):
        assert changed._maps.table().texels.shape == (64, 3)
    expanded = TexturesUV(
        image[None].expand(5, -1, -1, -1), torch.zeros(5, 1, 3, dtype=torch.int64), torch.rand(5, 1, 2)
    )
    assert expanded._maps.table().texels.data_ptr() == image.data_ptr()
    expanded.faces_verts_textures_packed().sum().backward()
    assert image.grad.sum().item() == pytest.approx(45)
    assert torch.equal(expanded.maps_list()[3], image)


# Storage


def test_forms():
    values = parts()
    textures = TexturesUV(**values)
    meshes_with(textures)
    assert_same(textures, values, [0, 1, 2, 3])
    assert textures.faces_uvs_padded().shape == (4, 3, 3)
    assert textures.verts_uvs_padded().shape == (4, 5, 2)
    assert (textures.faces_uvs_padded()[2] == 0).all()
    assert textures.maps_padded().shape == (4, 5, 7, 2)
    assert textures.maps_ids_padded() is None
    assert textures.maps_ids_list() is None
    assert textures.valid.tolist() == [True, True, False, True]
    assert not textures.isempty()


def test_padded_input_is_kept():
    maps, faces, uvs = torch.rand(2, 3, 4, 1), torch.zeros(2, 5, 3, dtype=torch.int64), torch.rand(2, 4, 2)
    textures = TexturesUV(maps, faces, uvs)
    assert textures.maps_padded() is maps
    assert textures.verts_uvs_padded() is uvs
    assert textures.faces_uvs_padded() is faces
    assert [u.shape for u in textures.verts_uvs_list()] == [(4, 2)] * 2
    verts = torch.rand(2, 3, 3)
    mesh_faces = torch.zeros(2, 5, 3, dtype=torch.int64)
    mesh_faces[1, 2:] = -1
    meshes = Meshes(verts, mesh_faces, textures)
    assert [f.shape[0] for f in meshes.textures.faces_uvs_list()] == [5, 2]
    assert meshes.textures.faces_verts_textures_packed().shape == (7, 3, 1)


@pytest.mark.parametrize("align", [True, False])
def test_maps_of_different_sizes_padded(align: bool):
    values = parts()
    padded = TexturesUV(**values, align_corners=align).maps_padded()
    for image, resized in zip(values["maps"], padded, strict=True):
        expected = torch.nn.functional.interpolate(
            image.permute(2, 0, 1)[None], size=(5, 7), mode="bilinear", align_corners=align
        )
        assert torch.allclose(resized, expected[0].permute(1, 2, 0))


@pytest.mark.parametrize(
    ("index", "elements"),
    [
        (1, [1]),
        (-1, [3]),
        (slice(1, None), [1, 2, 3]),
        (slice(0, 0), []),
        ([2, 0, 2], [2, 0, 2]),
        (torch.tensor([1, 0]), [1, 0]),
        (torch.tensor([True, False, True, False]), [0, 2]),
    ],
)
def test_indexing(index, elements: list[int]):
    values = parts()
    meshes = meshes_with(TexturesUV(**values, padding_mode="zeros", align_corners=False, sampling_mode="nearest"))
    for chosen in (meshes.textures[index], meshes[index].textures):
        assert_same(chosen, values, elements)
        assert chosen._num_faces_per_mesh == [FACES[n] for n in elements]
        assert chosen.valid.tolist() == [FACES[n] > 0 for n in elements]
        assert (chosen.padding_mode, chosen.align_corners, chosen.sampling_mode) == ("zeros", False, "nearest")


@pytest.mark.parametrize("index", [(0, 1), 1.5, torch.tensor([0.5]), 4, "a"])
def test_bad_index(index):
    with pytest.raises(IndexError, match="TexturesUV"):
        TexturesUV(**parts())[index]


def test_clone_detach_to_pickle(device):
    values = parts()
    values["maps"] = [image.requires_grad_() for image in values["maps"]]
    textures = TexturesUV(**values)
    clone, detached = textures.clone(), textures.detach()
    assert_same(clone, values, [0, 1, 2, 3])
    assert clone.maps_list()[0].data_ptr() != values["maps"][0].data_ptr()
    clone.faces_verts_textures_packed().sum().backward()
    assert values["maps"][0].grad is not None
    assert not detached.maps_list()[0].requires_grad
    again = pickle.loads(pickle.dumps(detached))
    assert_same(again, {name: [row.detach() for row in rows] for name, rows in values.items()}, [0, 1, 2, 3])
    assert torch.equal(again.faces_verts_textures_packed(), detached.faces_verts_textures_packed())
    assert textures.to(device) is textures
    assert textures.faces_verts_textures_packed().device.type == device.type


def test_repr():
    textures = TexturesUV(torch.rand(1, 2, 2, 3), [torch.tensor([[0, 0, 0]])], [torch.rand(1, 2)])
    assert repr(textures) == ("TexturesUV(N=1, maps=(1, 2, 2, 3), faces_uvs=[(1, 3)], verts_uvs=[(1, 2)], device=cpu)")
    assert "atlas=(9, 1, 1, 1, 1)" in repr(TexturesAtlas(torch.zeros(9, 1, 1, 1, 1)))
    assert repr(TexturesVertex([torch.zeros(1, 1)] * 9)) == "TexturesVertex(N=9, verts_features=[...], device=cpu)"


def test_check_shapes():
    textures = TexturesUV(**parts())
    assert textures.check_shapes(4, 99, 3)
    assert not textures.check_shapes(4, 99, 2)
    assert not textures.check_shapes(3, 99, 3)
    with pytest.raises(ValueError, match="do not match the dimensions of the meshes"):
        meshes_with(textures, faces=[2, 1, 0, 4])


def test_centers_for_image():
    uvs = torch.tensor([[0.0, 0.0], [0.5, 0.75], [1.0, 1.0]])
    maps, faces = [torch.rand(5, 9, 1)] * 2, [torch.zeros(1, 3, dtype=torch.int64)] * 2
    aligned = TexturesUV(maps, faces, [uvs, uvs[:1]]).centers_for_image(0)
    assert aligned.tolist() == [[0, 4], [4, 1], [8, 0]]
    edges = TexturesUV(maps, faces, [uvs, uvs[:1]], align_corners=False)
    assert edges.centers_for_image(0).tolist() == [[-0.5, 4.5], [4, 0.75], [8.5, -0.5]]
    with pytest.raises(ValueError, match="index must be one of 2 meshes, got 2"):
        edges.centers_for_image(2)


def test_empty():
    nothing = TexturesUV([], [], [])
    assert nothing.isempty()
    assert nothing.maps_list() == []
    assert nothing.maps_padded().shape == (0, 0, 0, 0)
    assert nothing.faces_uvs_padded().shape == (0, 0, 0)
    assert nothing.faces_verts_textures_packed().shape == (0, 3, 0)
    assert len(Meshes([], [], nothing)) == 0
    no_faces = TexturesUV(torch.rand(2, 2, 2, 3), torch.zeros(2, 0, 3), torch.rand(2, 0, 2))
    assert no_faces.isempty()
    assert no_faces.faces_verts_textures_packed().shape == (0, 3, 3)
    empty_slots = SimpleNamespace(
        pix_to_face=torch.full((2, 1, 1, 1), -1), bary_coords=torch.full((2, 1, 1, 1, 3), -1.0)
    )
    assert no_faces.sample_textures(empty_slots).tolist() == torch.zeros(2, 1, 1, 1, 3).tolist()
    with pytest.raises(ValueError, match="at least one mesh"):
        nothing.join_scene()


IMAGE, FACE, UV = torch.rand(2, 2, 3), torch.zeros(1, 3, dtype=torch.int64), torch.rand(1, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"maps": IMAGE}, ValueError, "maps must have 4 dimensions when padded"),
        ({"maps": [IMAGE[0]]}, ValueError, "maps must be a list of tensors of 3 dimensions"),
        ({"maps": "a"}, ValueError, "maps must be a tensor or a list"),
        ({"maps": [IMAGE[:0]]}, ValueError, "maps must have a texel each"),
        ({"maps": [IMAGE, IMAGE]}, ValueError, "maps must have 1 entries like faces_uvs, got 2"),
        ({"faces_uvs": FACE}, ValueError, "faces_uvs must have 3 dimensions when padded"),
        ({"faces_uvs": [FACE[:, :2]]}, ValueError, "faces_uvs must have 3 columns"),
        ({"faces_uvs": [FACE.bool()]}, TypeError, "faces_uvs must be integers, got torch.bool"),
        ({"faces_uvs": [FACE + 1]}, ValueError, r"faces_uvs\[0\] refers to row of verts_uvs 1, but there are 1"),
        ({"verts_uvs": [UV[0]]}, ValueError, "verts_uvs must be a list of tensors of 2 dimensions"),
        ({"verts_uvs": [UV.T]}, ValueError, "verts_uvs must have 2 columns"),
        ({"verts_uvs": [UV.long()]}, TypeError, "verts_uvs must be floating"),
        ({"verts_uvs": [UV, UV]}, ValueError, "verts_uvs must have 1 entries like faces_uvs, got 2"),
        ({"padding_mode": "wrap"}, ValueError, "padding_mode must be one of border, zeros, reflection, got 'wrap'"),
        ({"sampling_mode": "bicubic"}, ValueError, "sampling_mode must be one of bilinear, nearest"),
        ({"maps_ids": [FACE[:, 0]]}, ValueError, "maps must be a list of tensors of 4 dimensions"),
        ({"maps": [IMAGE[None]], "maps_ids": [FACE[0]]}, ValueError, "maps_ids must have an entry for each of"),
        ({"maps": [IMAGE[None]], "maps_ids": [FACE[:, 0] + 1]}, ValueError, r"maps_ids\[0\] refers to map 1"),
        ({"maps": [IMAGE[None]], "maps_ids": [FACE[:, 0].float()]}, TypeError, "maps_ids must be integers"),
    ],
)
def test_bad_input(change: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        TexturesUV(**{"maps": [IMAGE], "faces_uvs": [FACE], "verts_uvs": [UV], **change})


def test_members_must_agree_in_channels_and_type():
    for other in (torch.rand(2, 2, 4), torch.rand(2, 2, 3, dtype=torch.float64)):
        with pytest.raises(ValueError, match="equal in dtype, device and the last size"):
            TexturesUV([IMAGE, other], [FACE, FACE], [UV, UV])


def test_fragments_of_another_batch():
    with pytest.raises(ValueError, match="fragments must be of 4 images, got 3"):
        TexturesUV(**parts()).sample_textures(fragments_of(FACES[:3]))


# Joining


def test_extend_and_join_batch():
    values, others = parts(), parts()
    textures = TexturesUV(**values)
    meshes_with(textures)
    assert_same(textures.extend(2), values, [n for n in range(4) for _ in range(2)])
    joined = textures.join_batch([TexturesUV(**others)])
    both = {name: [*values[name], *others[name]] for name in values}
    assert_same(joined, both, list(range(8)))
    assert joined.valid.tolist() == [True, True, False, True] * 2
    assert_same(textures, values, [0, 1, 2, 3])


def test_join_batch_needs_one_kind():
    textures = TexturesUV(**parts())
    for change in ({"padding_mode": "zeros"}, {"align_corners": False}, {"sampling_mode": "nearest"}):
        with pytest.raises(ValueError, match=f"textures must have one {next(iter(change))}"):
            textures.join_batch([TexturesUV(**parts(), **change)])
    with pytest.raises(ValueError, match="textures must all be TexturesUV, got TexturesVertex"):
        textures.join_batch([TexturesVertex([torch.rand(1, 2)])])
    many = TexturesUV([IMAGE[None]], [FACE], [UV], maps_ids=[FACE[:, 0]])
    with pytest.raises(ValueError, match="all have maps_ids, or none"):
        textures.join_batch([many])


@pytest.mark.parametrize(("padding", "align", "mode"), MODES)
def test_join_scene_keeps_all_colours(padding: str, align: bool, mode: str):
    values = parts()
    textures = TexturesUV(**values, padding_mode=padding, align_corners=align, sampling_mode=mode)
    meshes = meshes_with(textures)
    scene = join_meshes_as_scene(meshes)
    assert len(scene.textures) == 1
    assert scene.textures.maps_padded().shape[0] == 1
    assert torch.allclose(
        scene.textures.faces_verts_textures_packed(), textures.faces_verts_textures_packed(), atol=1e-12
    )
    image, fragments = torch.zeros(1, 1, 12, 1, dtype=torch.int64), torch.rand(1, 1, 12, 1, 3, dtype=torch.float64)
    assert scene.sample_textures(SimpleNamespace(pix_to_face=image, bary_coords=fragments)).shape == (1, 1, 12, 1, 2)


def test_join_scene_turns_maps_where_it_helps():
    """A wide and a high image lie along each other, one of them transposed."""
    wide, high = torch.rand(2, 9, 1), torch.rand(8, 2, 1)
    uvs = torch.rand(6, 2)
    faces = torch.arange(6).reshape(2, 3)
    textures = TexturesUV([wide, high], [faces, faces], [uvs, uvs])
    scene = textures.join_scene()
    assert sorted(scene.maps_padded().shape[1:3]) == [4, 9]
    assert torch.allclose(scene.faces_verts_textures_packed(), textures.faces_verts_textures_packed(), atol=1e-5)


def test_join_scene_shares_places_and_keeps_corners_without_coordinates():
    image = torch.rand(4, 4, 1)
    faces = torch.tensor([[0, 1, -1]])
    textures = TexturesUV([image, image], [faces, faces], [torch.rand(2, 2), torch.rand(2, 2)])
    scene = textures.join_scene()
    assert torch.equal(scene.maps_padded()[0], image)
    assert scene.faces_uvs_padded().tolist() == [[[0, 1, -1], [2, 3, -1]]]


def test_join_scene_is_differentiable():
    values = parts()
    image = values["maps"][3].requires_grad_()
    TexturesUV(**values).join_scene().maps_padded().sum().backward()
    assert torch.equal(image.grad, torch.ones_like(image))


def test_join_scene_of_one():
    values = {name: rows[:1] for name, rows in parts().items()}
    assert_same(TexturesUV(**values).join_scene(), values, [0])


def test_meshes_carry_their_textures_along():
    values = parts()
    meshes = meshes_with(TexturesUV(**values))
    corners = meshes.textures.faces_verts_textures_packed()
    assert_same(meshes.extend(2).textures, values, [n for n in range(4) for _ in range(2)])
    assert_same(meshes.clone().textures, values, [0, 1, 2, 3])
    assert meshes.offset_verts(torch.ones(3, dtype=torch.float64)).textures is meshes.textures
    assert meshes.update_padded(meshes.verts_padded() + 1).textures is meshes.textures
    joined = join_meshes_as_batch([Meshes([], []), meshes, meshes[1]])
    assert_same(joined.textures, values, [0, 1, 2, 3, 1])
    assert torch.equal(joined.textures.faces_verts_textures_packed()[:6], corners)
    assert join_meshes_as_batch([meshes, meshes], include_textures=False).textures is None
    with pytest.raises(ValueError, match="same type of texture"):
        join_meshes_as_batch([meshes, meshes_with(None)])


def test_submeshes():
    values = parts()
    meshes = meshes_with(TexturesUV(**values))
    chosen = [[torch.tensor([1]), torch.tensor([False, True])], [], [], [torch.tensor([], dtype=torch.int64)]]
    parts_of = meshes.submeshes(chosen)
    corners = meshes.textures.faces_verts_textures_packed()
    assert torch.equal(parts_of.textures.faces_verts_textures_packed(), corners[[1, 1]])
    assert [len(uvs) for uvs in parts_of.textures.verts_uvs_list()] == [5, 5, 4]
    assert parts_of.textures.valid.tolist() == [True, True, False]
    with pytest.raises(IndexError, match="faces_ids_list must have 4 entries, got 1"):
        meshes.textures.submeshes([[]], [[]])


def test_submeshes_choose_among_maps_as_before():
    maps = torch.rand(1, 3, 2, 2, 1)
    textures = TexturesUV(maps, torch.randint(4, (1, 5, 3)), torch.rand(1, 4, 2), maps_ids=torch.randint(3, (1, 5)))
    part = textures.submeshes([[torch.arange(3)]], [[torch.tensor([4, 0])]])
    assert torch.equal(part.faces_verts_textures_packed(), textures.faces_verts_textures_packed()[[4, 0]])


def test_corners_beyond_the_own_coordinates_have_none():
    """Row 3 is there in the other mesh only: such a corner is at (0, 0), alone, in the batch and in a scene."""
    image = torch.arange(12, dtype=torch.float64).reshape(3, 4, 1)
    faces, uvs = [torch.tensor([[0, 1, 3]]), torch.tensor([[0, 1, 3]])], [torch.rand(2, 2), torch.rand(4, 2)]
    textures = TexturesUV([image, 2 * image], faces, [uv.double() for uv in uvs])
    origin = image[-1, 0]
    batch = textures.faces_verts_textures_packed()
    assert torch.equal(batch[0, 2], origin)
    assert not torch.equal(batch[1, 2], 2 * origin)
    assert torch.equal(textures[0].faces_verts_textures_packed()[0], batch[0])
    torch.testing.assert_close(textures.extend(2).faces_verts_textures_packed(), batch.repeat_interleave(2, 0))
    assert textures.join_scene().faces_uvs_list()[0].tolist() == [[0, 1, -1], [2, 3, 5]]
    with pytest.raises(ValueError, match=r"faces_uvs\[1\] refers to row of verts_uvs 4, but there are 4"):
        TexturesUV([image, image], [faces[0], faces[1] + 1], uvs)


def test_floating_faces_uvs_are_cut():
    textures = TexturesUV([torch.rand(2, 2, 1)], [torch.tensor([[0.9, 1.0, 2.5]])], [torch.rand(3, 2)])
    assert textures.faces_uvs_list()[0].tolist() == [[0, 1, 2]]
