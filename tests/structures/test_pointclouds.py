# SPDX-License-Identifier: Apache-2.0
"""Batches of point clouds."""

import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.ops import estimate_pointcloud_normals
from patina3d.structures import Pointclouds, join_pointclouds_as_batch, join_pointclouds_as_scene

SIZES = [4, 0, 7, 2]
FIELDS = ("points", "normals", "features")


def lists(sizes=SIZES, columns=5, dtype=torch.float64, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        [torch.randn((n, c), generator=generator, dtype=torch.float64).to(device, dtype) for n in sizes]
        for c in (3, 3, columns)
    ]


def full(sizes=SIZES, **options) -> Pointclouds:
    return Pointclouds(*lists(sizes, **options))


def padded(tensors):
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


def assert_same(a: Pointclouds, b: Pointclouds) -> None:
    assert len(a) == len(b)
    for name in FIELDS:
        left, right = getattr(a, f"{name}_list")(), getattr(b, f"{name}_list")()
        assert (left is None) == (right is None), name
        for x, y in zip(left or [], right or [], strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


# The three forms.


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 7))
def test_all_forms_exist_whatever_was_given(sizes, as_tensor):
    values = lists(sizes)
    given_forms = [padded(v) if as_tensor >> bit & 1 else v for bit, v in enumerate(values)]
    if as_tensor & 1:  # every row of padded points is a point
        values = [list(padded(v)) for v in values]
        given_forms = [padded(v) if as_tensor >> bit & 1 else v for bit, v in enumerate(values)]
    clouds = Pointclouds(*given_forms)
    for copy in (clouds, clouds.clone(), clouds.detach(), clouds[:], pickle.loads(pickle.dumps(clouds))):
        copy.points_padded()
        for name, tensors in zip(FIELDS, values, strict=True):
            assert torch.equal(getattr(copy, f"{name}_packed")(), torch.cat(tensors))
            assert torch.equal(getattr(copy, f"{name}_padded")(), padded(tensors))
            for x, y in zip(getattr(copy, f"{name}_list")(), tensors, strict=True):
                assert torch.equal(x, y)
    counts = [len(v) for v in values[0]]
    assert clouds.num_points_per_cloud().tolist() == counts
    assert clouds.cloud_to_packed_first_idx().tolist() == [sum(counts[:n]) for n in range(len(counts))]
    assert clouds.packed_to_cloud_idx().tolist() == [n for n, count in enumerate(counts) for _ in range(count)]
    flat = clouds.points_padded().reshape(-1, 3)
    assert torch.equal(flat[clouds.padded_to_packed_idx()], clouds.points_packed())
    assert clouds.valid.tolist() == [count > 0 for count in counts]
    assert clouds.equisized == (len(set(counts)) == 1)
    assert (len(counts), max(counts), 5) == (clouds._N, clouds._P, clouds._C)


def test_forms_are_computed_once():
    clouds = full()
    for name in FIELDS:
        for form in ("packed", "padded"):
            method = getattr(clouds, f"{name}_{form}")
            assert method() is method()
    assert clouds.points_list()[0] is clouds.points_list()[0]


def test_input_is_kept():
    points, normals, features = lists()
    clouds = Pointclouds(points, normals, padded(features))
    assert clouds.points_list()[2] is points[2]
    assert clouds.normals_list()[3] is normals[3]
    points.append(points[0])
    clouds.points_list().clear()
    assert len(clouds) == len(clouds.points_list()) == 4
    tensor = torch.rand(2, 3, 3)
    assert Pointclouds(tensor).points_padded() is tensor


def test_without_normals_and_features():
    clouds = Pointclouds(lists()[0])
    for name in ("normals", "features"):
        for form in ("list", "packed", "padded"):
            assert getattr(clouds, f"{name}_{form}")() is None
    assert clouds._C is None
    assert clouds.get_cloud(0)[1:] == (None, None)


def test_empty_clouds_need_no_attributes():
    points, normals, features = lists()
    normals[1], features[1] = None, torch.zeros(0)
    points[1] = torch.zeros(0)
    clouds = Pointclouds(points, normals, features)
    assert clouds.normals_list()[1].shape == (0, 3)
    assert clouds.features_list()[1].shape == (0, 5)
    assert clouds.points_packed().dtype == torch.float64


def test_features_of_any_dtype():
    labels = [torch.arange(3)[:, None], torch.arange(2)[:, None]]
    clouds = Pointclouds([torch.rand(3, 3), torch.rand(2, 3)], features=labels)
    assert clouds.features_padded()[..., 0].tolist() == [[0, 1, 2], [0, 1, 0]]


@pytest.mark.parametrize(
    "clouds",
    [
        Pointclouds([]),
        Pointclouds(torch.zeros(0, 4, 3)),
        Pointclouds(torch.zeros(2, 0, 3), features=torch.zeros(2, 0, 5)),
        Pointclouds([torch.zeros(0), torch.zeros(0, 3)], [None, None], [torch.zeros(0, 5), None]),
        full()[[]],
        full(dtype=torch.float32)[1],
        full(dtype=torch.float32).subsample(0),
    ],
    ids=lambda clouds: repr(clouds),
)
def test_empty_batches_answer_everything(clouds):
    n = len(clouds)
    assert clouds.isempty() is True
    assert clouds.valid.tolist() == [False] * n
    assert clouds.num_points_per_cloud().tolist() == [0] * n
    assert clouds.num_points_per_cloud().dtype == torch.int64
    assert clouds.cloud_to_packed_first_idx().tolist() == [0] * n
    assert clouds.padded_to_packed_idx().shape == (0,)
    assert clouds.packed_to_cloud_idx().shape == (0,)
    assert clouds.points_packed().shape == (0, 3)
    assert clouds.points_padded().shape[::2] == (n, 3)
    assert clouds.get_bounding_boxes().tolist() == [[[torch.inf, -torch.inf]] * 3] * n
    assert clouds.inside_box(torch.tensor([[0.0] * 3, [1.0] * 3])).shape == (0,)
    if clouds.features_list() is not None:
        assert clouds.features_packed().shape == (0, 5)
        assert clouds.features_padded().shape[::2] == (n, 5)
    for copy in (clouds.clone(), clouds[:], clouds.extend(2), clouds.offset(torch.ones(3)), clouds.scale(2.0)):
        assert copy.isempty()
    assert len(clouds.update_padded(clouds.points_padded())) == n


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((torch.rand(3, 3),),), ValueError, "points must be a list or a tensor, got tuple"),
        ((torch.rand(3, 3),), ValueError, r"padded points must have shape \(N, P, 3\), got \(3, 3\)"),
        (([torch.rand(3, 2)],), ValueError, r"points\[0\] must have shape \(P, 3\), got \(3, 2\)"),
        (([[1.0, 2, 3]],), ValueError, r"points\[0\] must be a tensor, got list"),
        (([torch.zeros(3, 3).long()],), TypeError, r"points\[0\] must be floating, got torch.int64"),
        ((torch.zeros(1, 3, 3).long(),), TypeError, "points must be floating"),
        (([torch.rand(3, 3), torch.rand(3, 3).double()],), TypeError, "points must have one dtype"),
        (([torch.rand(3, 3), torch.rand(3, 3, device="meta")],), ValueError, "the same device, got cpu and meta"),
        (([torch.rand(3, 3)], [torch.rand(2, 3)]), ValueError, r"normals\[0\] must have shape \(3, 3\), got \(2, 3\)"),
        (([torch.rand(3, 3)], [torch.rand(3, 4)]), ValueError, r"normals\[0\] must have shape \(3, 3\)"),
        (
            ([torch.rand(3, 3)], torch.rand(1, 4, 3)),
            ValueError,
            r"normals must have shape \(1, 3, 3\), got \(1, 4, 3\)",
        ),
        (([torch.rand(3, 3)], None, []), ValueError, "features must have 1 entries, one a cloud, got 0"),
        (([torch.rand(3, 3)], None, [None]), ValueError, r"features\[0\] must be a tensor, got NoneType"),
        (([torch.rand(3, 3)], None, "red"), ValueError, "features must be a list or a tensor, got str"),
        (
            ([torch.rand(3, 3)] * 2, None, [torch.rand(3, 1), torch.rand(3, 2)]),
            ValueError,
            r"features\[1\] must have shape \(3, 1\)",
        ),
        (([torch.rand(3, 3)], None, torch.rand(1, 2, 4)), ValueError, r"features must have shape \(1, 3, 'C'\)"),
        (([torch.rand(3, 3)], None, torch.rand(1, 3, 4, device="meta")), ValueError, "the same device"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Pointclouds(*arguments)


def test_attributes_of_no_clouds_are_ignored():
    assert Pointclouds([], [], []).features_list() is None
    assert Pointclouds([], torch.zeros(3, 3)).normals_list() is None


# Indexing, splitting, copies.


@pytest.mark.parametrize(
    ("index", "elements"),
    [
        (0, [0]),
        (-1, [3]),
        (np.int32(2), [2]),
        (slice(2), [0, 1]),
        ([3, 3, 0], [3, 3, 0]),
        ([True, False, False, True], [0, 3]),
        (torch.tensor([False, True, True, False]), [1, 2]),
        (torch.tensor([-1]), [3]),
    ],
)
def test_indexing_picks_elements(index, elements):
    clouds = full()
    chosen = clouds[index]
    for name in FIELDS:
        for n, element in enumerate(elements):
            assert getattr(chosen, f"{name}_list")()[n] is getattr(clouds, f"{name}_list")()[element]


@pytest.mark.parametrize("index", [4, -5, torch.tensor([[0]]), (0, 1), None, 0.5, [True]])
def test_bad_index(index):
    with pytest.raises(IndexError, match="Pointclouds: "):
        full()[index]


def test_split_extend_get():
    clouds = full()
    first, second = clouds.split([1, 3])
    assert_same(first, clouds[0])
    assert_same(second, clouds[1:])
    with pytest.raises(ValueError, match="sum to 4"):
        clouds.split([1])
    extended = clouds.extend(3)
    assert_same(extended[1::3], clouds)
    assert extended.points_list()[0].data_ptr() != extended.points_list()[1].data_ptr()
    with pytest.raises(ValueError, match="N must be an int > 0"):
        clouds.extend(0)
    points, normals, features = clouds.get_cloud(2)
    assert (len(points), len(normals), len(features)) == (7, 7, 7)
    for index in (-1, 4, 9, 0.2):
        with pytest.raises(ValueError, match=r"index must be an int in \[0, 4\), got "):
            clouds.get_cloud(index)


def test_clone_detach_to():
    points, normals, features = lists()
    clouds = Pointclouds([p.requires_grad_() for p in points], normals, features)
    clone = clouds.clone()
    assert_same(clone, clouds)
    assert clone.points_list()[0].data_ptr() != points[0].data_ptr()
    clone.points_packed().sum().backward()
    assert points[0].grad is not None
    detached = clouds.detach()
    assert detached.points_list()[0].data_ptr() == points[0].data_ptr()
    assert not detached.points_packed().requires_grad
    assert clouds.cpu() is clouds
    assert clouds.to("cpu", copy=True) is not clouds
    there = clouds.to("meta")
    assert there.device.type == there.features_packed().device.type == there.valid.device.type == "meta"
    assert there.padded_to_packed_idx().device.type == "meta"


@pytest.mark.gpu
def test_cuda_and_back():
    clouds = full()
    there = clouds.cuda()
    assert there.points_padded().is_cuda
    assert_same(there.cpu(), clouds)


def test_a_subclass_stays_itself():
    class Named(Pointclouds):
        pass

    clouds = Named(*lists())
    copies = [
        clouds.clone(),
        clouds.detach(),
        clouds[0],
        clouds.extend(2),
        clouds.subsample(3),
        clouds.offset(torch.ones(3)),
    ]
    for copy in [*copies, clouds.update_padded(clouds.points_padded()), clouds.to("cpu", copy=True)]:
        assert type(copy) is Named


def test_repr():
    assert repr(full()) == "Pointclouds(N=4, points=[4, 0, 7, 2], normals=given, features=5, dtype=float64, device=cpu)"
    assert "N=12, points=0..7" in repr(full().extend(3))


# Other positions.


def test_offset_and_scale():
    clouds = full()
    points = clouds.points_packed().clone()
    offsets = torch.randn(13, 3, dtype=torch.float64)
    assert torch.equal(clouds.offset(offsets).points_packed(), points + offsets)
    assert torch.equal(clouds.offset(torch.ones(3)).points_padded()[1], torch.zeros(7, 3))
    assert torch.equal(clouds.scale(2).points_packed(), 2 * points)
    scale = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    assert torch.equal(clouds.scale(scale).points_list()[2], 3 * clouds.points_list()[2])
    assert torch.equal(clouds.scale(torch.tensor(2.0)).points_packed(), 2 * points)
    assert clouds.offset(offsets).features_packed() is clouds.features_packed()
    assert torch.equal(clouds.points_packed(), points)
    for bad in (torch.zeros(1, 3), torch.zeros(13)):
        with pytest.raises(ValueError, match=r"offsets must have shape \(3,\) or \(13, 3\)"):
            clouds.offset(bad)
    with pytest.raises(ValueError, match=r"have shape \(4,\), got \(1,\)"):
        clouds.scale(torch.ones(1))


def test_in_place_changes_leave_the_input_alone():
    leaf = torch.rand(1, 4, 3, requires_grad=True)
    before = leaf.detach().clone()
    clouds = Pointclouds(leaf)
    assert clouds.offset_(torch.ones(3)) is clouds
    assert clouds.scale_(2.0) is clouds
    assert torch.equal(leaf, before)
    assert torch.equal(clouds.points_padded(), 2 * (before + 1))
    clouds.points_packed().sum().backward()
    assert torch.equal(leaf.grad, torch.full_like(leaf, 2))


def test_update_padded():
    clouds = full()
    new = torch.randn(4, 7, 3, requires_grad=True)
    updated = clouds.update_padded(new)
    assert updated.points_padded() is new
    assert torch.equal(updated.points_list()[0], new[0, :4])
    assert updated._C == 5
    for name in ("normals", "features"):
        for form in ("list", "packed", "padded"):
            got, kept = getattr(updated, f"{name}_{form}")(), getattr(clouds, f"{name}_{form}")()
            assert got is kept or all(x is y for x, y in zip(got, kept, strict=True))
    assert updated.clone().equisized == clouds.equisized
    features = torch.rand(4, 7, 2)
    assert Pointclouds(lists()[0]).update_padded(new, new, features).features_padded() is features
    for bad in ((new[:3],), (new, new[:, :6]), (new, None, features)):
        with pytest.raises(ValueError, match="must have shape"):
            clouds.update_padded(*bad)


# Questions.


def test_bounding_boxes(device):
    clouds = full(device=device)
    for points, box in zip(clouds.points_list(), clouds.get_bounding_boxes(), strict=True):
        if len(points):
            assert torch.equal(box, torch.stack([points.amin(0), points.amax(0)], 1))


def test_inside_box():
    clouds = full()
    box = torch.tensor([[-0.5] * 3, [0.5] * 3], dtype=torch.float64)
    points = clouds.points_packed()
    expected = (points.abs() <= 0.5).all(1)
    for form in (box, box[None], box.expand(4, 2, 3)):
        assert torch.equal(clouds.inside_box(form), expected)
    own = clouds.get_bounding_boxes().transpose(1, 2).nan_to_num(posinf=0, neginf=0)
    assert clouds.inside_box(own).all()
    other = own.roll(1, 0)
    assert not clouds.inside_box(other).all()
    for bad, message in (
        (box[:1], "Input box must be of shape"),
        (box.expand(3, 2, 3), "Input box dimension is 3, expected 1 or "),
        (box.flip(0), "Input box is invalid: its least corner"),
    ):
        with pytest.raises(ValueError, match=message):
            clouds.inside_box(bad)


def test_subsample():
    clouds = full([40, 3, 40])
    assert clouds.subsample(40) is clouds
    torch.manual_seed(1)
    some = clouds.subsample([10, 10, 40])
    torch.manual_seed(1)
    assert_same(clouds.subsample([10, 10, 40]), some)
    assert some.num_points_per_cloud().tolist() == [10, 3, 40]
    assert torch.equal(some.points_list()[1], clouds.points_list()[1])
    rows = (some.points_list()[0][:, None] == clouds.points_list()[0]).all(-1)
    assert (rows.sum(1) == 1).all()
    chosen = rows.int().argmax(1)
    assert chosen.unique().numel() == 10
    assert not torch.equal(chosen, chosen.sort().values)
    for name in ("normals", "features"):
        assert torch.equal(getattr(some, f"{name}_list")()[0], getattr(clouds, f"{name}_list")()[0][chosen])
    with pytest.raises(ValueError, match="must have 3 entries, got 2"):
        clouds.subsample([1, 2])
    with pytest.raises(ValueError, match="must be >= 0"):
        clouds.subsample(-1)


def test_subsample_is_uniform():
    clouds = Pointclouds([torch.arange(5.0)[:, None].expand(5, 3)] * 4000)
    counts = clouds.subsample(2).points_packed()[:, 0].long().bincount()
    # 1600 expected of each, standard deviation 31.
    assert (counts - 1600).abs().max() < 160


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_estimate_normals(dtype, device):
    points = torch.nn.functional.normalize(torch.randn(3, 60, 3, dtype=dtype, device=device), dim=2)
    given = [points[0], points[1, :0], points[2, :31]]
    clouds = Pointclouds([cloud.clone().requires_grad_() for cloud in given])
    normals = clouds.estimate_normals(neighborhood_size=10)
    assert normals.shape == (3, 60, 3)
    assert normals.dtype == dtype
    assert clouds.normals_list() is None
    assert ((normals * clouds.points_padded()).sum(2)[clouds.points_padded().any(2)] < -0.7).double().mean() > 0.95
    assert not normals[1].any()
    assert not normals[2, 31:].any()
    assert torch.equal(normals, estimate_pointcloud_normals(clouds, 10))

    unsigned = clouds.estimate_normals(10, disambiguate_directions=False)
    torch.testing.assert_close((unsigned * normals).sum(2).abs(), normals.norm(dim=2))

    assert clouds.estimate_normals(10, assign_to_self=True) is clouds.normals_padded()
    assert torch.equal(clouds.normals_padded(), normals)
    for cloud, n in zip(clouds.normals_list(), (60, 0, 31), strict=True):
        assert cloud.shape == (n, 3)
    assert torch.equal(clouds.normals_packed(), torch.cat([normals[0], normals[2, :31]]))
    clouds.normals_packed()[:, 0].sum().backward()
    assert all(cloud.grad.isfinite().all() for cloud in clouds.points_list() if len(cloud))
    with pytest.raises(ValueError, match=r"neighborhood_size must be .* less than the size of each"):
        clouds.estimate_normals(31)


def test_estimate_normals_without_ops(monkeypatch):
    monkeypatch.setitem(sys.modules, "patina3d.ops", None)
    with pytest.raises(ImportError, match="needs a patina3d-ops"):
        full().estimate_normals()


# Joining.


def test_join_as_batch():
    first, second = full(seed=0), full(seed=1)
    joined = join_pointclouds_as_batch((first, Pointclouds([]), second))
    assert len(joined) == 8
    for name in FIELDS:
        parts = [*getattr(first, f"{name}_list")(), *getattr(second, f"{name}_list")()]
        for x, y in zip(getattr(joined, f"{name}_list")(), parts, strict=True):
            assert x is y
    assert len(join_pointclouds_as_batch([])) == 0


def test_join_as_scene():
    clouds = full()
    for scene in (join_pointclouds_as_scene(clouds), join_pointclouds_as_scene(tuple(clouds))):
        assert scene.points_padded().shape == (1, 13, 3)
        for name in FIELDS:
            assert torch.equal(getattr(scene, f"{name}_packed")(), getattr(clouds, f"{name}_packed")())
    one = clouds[0]
    assert join_pointclouds_as_scene(one) is one
    for nothing in ([], Pointclouds([])):
        assert join_pointclouds_as_scene(nothing).points_padded().shape == (1, 0, 3)


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        (full(), "must be a sequence of Pointclouds"),
        ([full(), 1], "must be a sequence of Pointclouds"),
        ([full(), Pointclouds(lists()[0])], "all pointclouds or none must have normals"),
        ([full(), Pointclouds(*lists()[:2])], "all pointclouds or none must have features"),
        ([full(), full(columns=2)], r"the same number of features, got \[5, 2\]"),
        ([full(), full().to("meta")], r"the same device, got \['cpu', 'meta'\]"),
    ],
)
def test_join_errors(clouds, message):
    with pytest.raises(ValueError, match=message):
        join_pointclouds_as_batch(clouds)


def test_kept_forms_are_none_until_computed():
    clouds = full()
    names = [f"_{part}_{form}" for part in ("points", "normals", "features") for form in ("packed", "padded")]
    assert all(getattr(clouds, name) is None for name in names)
    assert clouds._points_list[0] is clouds.points_list()[0]
    clouds._compute_packed(refresh=True)
    clouds._compute_padded()
    assert all(getattr(clouds, name) is getattr(clouds, name[1:])() for name in names)
    assert all(getattr(clouds.extend(2), name) is None for name in names)
    updated = clouds.update_padded(clouds.points_padded() + 1)
    assert updated._points_list is None
    assert updated._points_packed is None
    bare = Pointclouds(clouds.points_list())
    bare._compute_packed()
    bare._compute_padded()
    assert bare._normals_packed is None
    for name in ("num_points_per_cloud", "packed_to_cloud_idx", "cloud_to_packed_first_idx", "padded_to_packed_idx"):
        assert getattr(clouds, f"_{name}") is getattr(clouds, name)()
