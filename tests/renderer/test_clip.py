# SPDX-License-Identifier: Apache-2.0
"""Clipping of faces at the near plane and culling at the sides of the view."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from patina3d.renderer.mesh.clip import ClipFrustum, clip_faces, convert_clipped_rasterization_to_original_faces


def mesh_index(*counts: int) -> tuple[torch.Tensor, torch.Tensor]:
    num = torch.tensor(counts)
    return num.cumsum(0) - num, num


def faces_with_depths(*depths: tuple[float, float, float]) -> torch.Tensor:
    """One face a triple of depths, with x and y in general position."""
    xy = torch.tensor([[-0.7, -0.4], [0.9, -0.2], [0.1, 0.8]], dtype=torch.float64)
    z = torch.tensor(depths, dtype=torch.float64).reshape(-1, 3, 1)
    shift = 0.1 * torch.arange(len(depths), dtype=torch.float64).reshape(-1, 1, 1)
    return torch.cat([xy.expand(len(depths), 3, 2) + shift, z], dim=-1)


def in_view_space(face_verts: torch.Tensor) -> torch.Tensor:
    return torch.cat([face_verts[..., :2] * face_verts[..., 2:], face_verts[..., 2:]], dim=-1)


def area(triangles: torch.Tensor) -> torch.Tensor:
    return torch.linalg.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])[:, 2] / 2


def test_index_maps_of_the_four_cases():
    faces = faces_with_depths((2, 3, 4), (0.5, 2, 3), (0.5, 2, 0.2), (0.1, 0.2, 0.3))
    clipped = clip_faces(faces, *mesh_index(2, 2), ClipFrustum(z_clip_value=1.0))
    assert clipped.mesh_to_face_first_idx.tolist() == [0, 3]
    assert clipped.num_faces_per_mesh.tolist() == [3, 1]
    assert clipped.faces_clipped_to_unclipped_idx.tolist() == [0, 1, 1, 2]
    assert clipped.clipped_faces_neighbor_idx.tolist() == [-1, 2, 1, -1]
    assert clipped.faces_clipped_to_conversion_idx.tolist() == [-1, 1, 2, 0]
    assert clipped.face_verts.shape == (4, 3, 3)
    assert clipped.barycentric_conversion.shape == (3, 3, 3)


def test_nothing_to_do_returns_the_input():
    faces, (first, num) = faces_with_depths((2, 3, 4), (5, 2, 3)), mesh_index(2)
    clipped = clip_faces(faces, first, num, ClipFrustum(z_clip_value=1.0, left=-5, right=5, top=-5, bottom=5))
    assert clipped.face_verts is faces
    assert clipped.mesh_to_face_first_idx is first
    assert clipped.num_faces_per_mesh is num
    assert clipped.faces_clipped_to_unclipped_idx is None
    assert clipped.barycentric_conversion is None
    assert clipped.faces_clipped_to_conversion_idx is None
    assert clipped.clipped_faces_neighbor_idx is None
    pix_to_face, bary = torch.tensor([[[[1]]]]), torch.rand(1, 1, 1, 1, 3)
    same = convert_clipped_rasterization_to_original_faces(pix_to_face, bary, clipped)
    assert same[0] is pix_to_face
    assert same[1] is bary


def test_a_corner_on_the_plane_is_in_front():
    faces = faces_with_depths((1, 1, 1), (1, 2, 0.5))
    clipped = clip_faces(faces, *mesh_index(2), ClipFrustum(z_clip_value=1.0))
    assert clipped.faces_clipped_to_unclipped_idx.tolist() == [0, 1, 1]
    assert torch.equal(clipped.face_verts[0], faces[0])
    assert clipped.face_verts.isfinite().all()


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_cut_corners_by_hand(perspective: bool, turn: int):
    """The lone corner may come first, second or third; the pieces start at the same points."""
    space = in_view_space if perspective else (lambda x: x)
    for depths in ((0.5, 2.0, 3.0), (3.0, 0.5, 0.25)):
        face = faces_with_depths(depths)
        p1, p2, p3 = space(face)[0]
        p4 = p1 + (p1[2] - 1) / (p1[2] - p2[2]) * (p2 - p1)
        p5 = p1 + (p1[2] - 1) / (p1[2] - p3[2]) * (p3 - p1)
        expected = [[p4, p5, p1]] if depths[0] > 1 else [[p4, p2, p5], [p5, p2, p3]]
        frustum = ClipFrustum(z_clip_value=1.0, perspective_correct=perspective)
        clipped = clip_faces(face.roll(turn, dims=1), *mesh_index(1), frustum)
        assert torch.allclose(space(clipped.face_verts), torch.stack([torch.stack(x) for x in expected]))
        # Column k of the conversion holds the weights of the original corners in corner k.
        corners = clipped.barycentric_conversion.transpose(1, 2) @ space(face.roll(turn, dims=1))
        assert torch.allclose(corners, space(clipped.face_verts))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(0.05, 5.0)] * 3), min_size=1, max_size=12), st.sampled_from([0.3, 1.0, 2.5]))
def test_pieces_cover_the_part_in_front(depths, clip_z):
    """Winding stays, and the area in front of the plane is that of the pieces."""
    faces = faces_with_depths(*depths)
    clipped = clip_faces(faces, *mesh_index(len(depths)), ClipFrustum(z_clip_value=clip_z))
    assert (clipped.face_verts[..., 2] >= clip_z).all()
    assert (area(clipped.face_verts) >= -1e-12).all()
    for i, (face, z) in enumerate(zip(faces, depths, strict=True)):
        # The part of a triangle beyond a level of a linear function, by the weights of its corners.
        low, mid, high = sorted(z)
        if clip_z <= low:
            part = 1.0
        elif clip_z > high:
            part = 0.0
        elif clip_z <= mid:
            part = 1 - (clip_z - low) ** 2 / ((mid - low) * (high - low))
        else:
            part = (high - clip_z) ** 2 / ((high - low) * (high - mid))
        source = clipped.faces_clipped_to_unclipped_idx
        pieces = clipped.face_verts[source == i] if source is not None else clipped.face_verts[i : i + 1]
        assert area(pieces).sum().item() == pytest.approx(part * area(face[None]).item(), rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(0.05, 5.0)] * 3), min_size=2, max_size=8), st.integers(0, 8))
def test_a_mesh_alone_is_clipped_as_in_a_batch(depths, split):
    split = min(split, len(depths))
    faces, frustum = faces_with_depths(*depths), ClipFrustum(z_clip_value=1.0, perspective_correct=True)
    whole = clip_faces(faces, *mesh_index(split, len(depths) - split), frustum)
    alone = [clip_faces(part, *mesh_index(len(part)), frustum) for part in (faces[:split], faces[split:])]
    assert whole.num_faces_per_mesh.tolist() == [len(x.face_verts) for x in alone]
    assert whole.mesh_to_face_first_idx.tolist() == [0, len(alone[0].face_verts)]
    assert torch.equal(whole.face_verts, torch.cat([x.face_verts for x in alone]))


def test_scale_of_the_scene_does_not_matter():
    faces = faces_with_depths((2, 3, 4), (0.5, 2, 3), (0.5, 2, 0.2), (0.1, 0.2, 0.3)).float()
    for scale in (1e-6, 1e6):
        scaled = clip_faces(
            faces * torch.tensor([1, 1, scale]),
            *mesh_index(4),
            ClipFrustum(z_clip_value=scale, perspective_correct=True),
        )
        plain = clip_faces(faces, *mesh_index(4), ClipFrustum(z_clip_value=1.0, perspective_correct=True))
        assert torch.allclose(scaled.face_verts[..., :2], plain.face_verts[..., :2], rtol=1e-5)
        assert torch.allclose(scaled.barycentric_conversion, plain.barycentric_conversion, rtol=1e-5)


@pytest.mark.parametrize("perspective", [False, True])
def test_gradcheck(perspective: bool):
    """Both new corners move with the depths; so do the barycentrics of the original face."""
    faces = faces_with_depths((2, 3, 4), (0.5, 2, 3), (0.5, 2, 0.2), (2.5, 0.3, 1.2)).requires_grad_()
    frustum = ClipFrustum(z_clip_value=1.0, perspective_correct=perspective)
    pix_to_face = torch.tensor([[[[0, 1, 2], [3, 4, -1]]]])
    bary = torch.rand(1, 1, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def clip(faces: torch.Tensor, bary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        clipped = clip_faces(faces, *mesh_index(4), frustum)
        return clipped.face_verts, convert_clipped_rasterization_to_original_faces(pix_to_face, bary, clipped)[1]

    assert gradcheck(clip, (faces, bary))


def test_barycentrics_of_the_original_face_name_the_same_point():
    faces = faces_with_depths((2, 3, 4), (0.5, 2, 3), (0.5, 2, 0.2), (0.1, 0.2, 0.3))
    clipped = clip_faces(faces, *mesh_index(4), ClipFrustum(z_clip_value=1.0, perspective_correct=True))
    pix_to_face = torch.tensor([[[[0, -1], [1, 2], [3, -1]]]])
    bary = torch.rand(1, 1, 3, 2, 3, dtype=torch.float64)
    bary = bary / bary.sum(-1, keepdim=True)
    bary[pix_to_face < 0] = -1
    original, converted = convert_clipped_rasterization_to_original_faces(pix_to_face, bary, clipped)
    assert original.tolist() == [[[[0, -1], [1, 1], [2, -1]]]]
    assert torch.equal(converted[pix_to_face < 0], bary[pix_to_face < 0])
    hit = pix_to_face >= 0
    seen = (bary[hit][:, None] @ in_view_space(clipped.face_verts)[pix_to_face[hit]]).squeeze(1)
    meant = (converted[hit][:, None] @ in_view_space(faces)[original[hit]]).squeeze(1)
    assert torch.allclose(seen, meant)


@pytest.mark.parametrize(
    ("limit", "axis", "beyond"),
    [
        ("left", 0, -1),
        ("right", 0, 1),
        ("top", 1, -1),
        ("bottom", 1, 1),
        ("znear", 2, -1),
        ("zfar", 2, 1),
    ],
)
def test_a_face_is_culled_when_all_corners_lie_beyond_one_limit(limit: str, axis: int, beyond: int):
    """A coordinate decides, not a corner: a face with one far corner stays, wherever that corner is in the face."""
    frustum = ClipFrustum(**{limit: float(2 * beyond)})
    inside = torch.zeros(3, 3, dtype=torch.float64)
    outside = inside.clone()
    outside[:, axis] = 3.0 * beyond
    corner_out = [inside.clone() for _ in range(3)]
    for i in range(3):
        corner_out[i][i] = 3.0 * beyond
    faces = torch.stack([inside, outside, *corner_out])
    clipped = clip_faces(faces, *mesh_index(2, 3), frustum)
    assert clipped.faces_clipped_to_unclipped_idx.tolist() == [0, 2, 3, 4]
    assert clipped.num_faces_per_mesh.tolist() == [1, 3]
    assert clipped.barycentric_conversion is None
    frustum.cull = False
    assert clip_faces(faces, *mesh_index(2, 3), frustum).face_verts is faces


def test_a_culled_face_is_not_cut():
    faces = faces_with_depths((0.5, 2, 3), (0.5, 2, 3))
    faces[1, :, 0] += 10
    clipped = clip_faces(faces, *mesh_index(2), ClipFrustum(right=2.0, z_clip_value=1.0))
    assert clipped.faces_clipped_to_unclipped_idx.tolist() == [0, 0]
    assert clipped.clipped_faces_neighbor_idx.tolist() == [1, 0]


def test_everything_dropped():
    faces = faces_with_depths((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)).requires_grad_()
    clipped = clip_faces(faces, *mesh_index(1, 1), ClipFrustum(z_clip_value=1.0))
    assert clipped.face_verts.shape == (0, 3, 3)
    assert clipped.num_faces_per_mesh.tolist() == [0, 0]
    empty, bary = torch.full((1, 2, 2, 1), -1), torch.full((1, 2, 2, 1, 3), -1.0)
    assert torch.equal(convert_clipped_rasterization_to_original_faces(empty, bary, clipped)[0], empty)
    clipped.face_verts.sum().backward()
    assert torch.equal(faces.grad, torch.zeros_like(faces))


@pytest.mark.parametrize("counts", [(0, 1, 0), (1, 0), (0, 0, 1)])
def test_empty_meshes_anywhere_in_the_batch(counts: tuple[int, ...]):
    faces = faces_with_depths((0.5, 2, 3))
    clipped = clip_faces(faces, *mesh_index(*counts), ClipFrustum(z_clip_value=1.0))
    assert clipped.num_faces_per_mesh.tolist() == [2 * count for count in counts]
    assert clipped.mesh_to_face_first_idx.tolist() == mesh_index(*[2 * count for count in counts])[0].tolist()


def test_no_faces():
    clipped = clip_faces(torch.zeros(0, 3, 3), *mesh_index(0, 0), ClipFrustum(z_clip_value=1.0))
    assert clipped.face_verts.shape == (0, 3, 3)
    assert clipped.faces_clipped_to_unclipped_idx is None


def test_strided_input_and_dtype():
    faces = faces_with_depths((0.5, 2, 3), (2, 2, 2)).float()
    strided = faces.transpose(0, 2).contiguous().transpose(0, 2)
    frustum = ClipFrustum(z_clip_value=1.0)
    plain, other = (clip_faces(x, *mesh_index(2), frustum) for x in (faces, strided))
    assert plain.face_verts.dtype == plain.barycentric_conversion.dtype == torch.float32
    assert torch.equal(plain.face_verts, other.face_verts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": torch.zeros(2, 3)}, r"face_verts_unclipped must be \(F, 3, 3\), got \(2, 3\)"),
        ({"first": torch.zeros(2, dtype=torch.int64)}, r"must both be \(N,\), got \(2,\) and \(1,\)"),
        ({"frustum": ClipFrustum(z_clip_value=0.0, perspective_correct=True)}, "z_clip_value must be positive"),
    ],
)
def test_errors_name_the_argument(change, message):
    arguments = {
        "faces": torch.zeros(1, 3, 3),
        "first": torch.tensor([0]),
        "num": torch.tensor([1]),
        "frustum": ClipFrustum(),
    } | change
    with pytest.raises(ValueError, match=f"clip_faces: .*{message}"):
        clip_faces(*arguments.values())
