# SPDX-License-Identifier: Apache-2.0
"""Trees by definition, searches with and without an index, gradients, stale indices, errors, torch's machinery."""

import copy
import pickle

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck

from patina3d.ops import PointIndex, knn_points
from patina3d.ops._reference.point_index import WIDTH
from patina3d.ops._reference.point_index import point_index as reference
from patina3d.ops.point_index import NO_TREES
from patina3d.structures import Pointclouds

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

DTYPES = [torch.float32, torch.float64]
# On both sides of the sizes of the neighbour lists.
COUNTS = [1, 2, 8, 9, 32, 33, 70]


def clouds(kind: str, d: int, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Points (2, count, D)."""
    points = torch.rand((2, count, d), dtype=torch.float64)
    if kind == "surface":
        points = torch.nn.functional.normalize(points - 0.5, dim=-1)
    elif kind == "clustered":
        points = points * 1e-3 + torch.randint(0, 3, (2, count, 1)) * 1e4
    elif kind == "coincident":
        points = points[:, :1].expand(2, count, d)
    elif kind == "duplicates":
        points = points[:, torch.randint(0, count // 5, (count,))]
    elif kind == "grid":
        points = torch.randint(0, 4, (2, count, d)).double()
    elif kind == "not finite":
        points[:, ::7, 0], points[:, 1::9, -1], points[:, 2::11, 0] = torch.nan, torch.inf, -torch.inf
        points[:, 3::13, 0] = 3e38
    return points.to(dtype)


KINDS = ["uniform", "surface", "clustered", "coincident", "duplicates", "grid", "not finite"]


def queries(points: Tensor, count: int = 24) -> Tensor:
    """Some of the points, some near them, some between them, some far away, one that is not finite."""
    near = points[:, torch.randint(0, points.shape[1], (count,))].clone()
    near[:, 1::4] += 0.3 * torch.rand_like(near[:, 1::4])
    near[:, 2::4] += 0.5
    near[:, 3::8] *= 100
    near[:, -1, 0] = torch.inf
    return near


def bits(x: Tensor) -> Tensor:
    """Compares as the values do, but every NaN equals every other."""
    return torch.nan_to_num(x, nan=-1.0, posinf=-2.0)


def assert_same(got: tuple, want: tuple) -> None:
    assert torch.equal(got[1], want[1])
    assert torch.equal(bits(got[0]), bits(want[0]))


# The tree.


@emulated
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 16, 17, 256, 257, 700, 4100])
def test_tree_by_definition(count, dtype, device):
    for d in (1, 2, 3, 5):
        points = clouds("uniform", d, count, dtype).to(device)
        if count > 20:
            points[0, 3, 0], points[1, 5, -1] = torch.nan, torch.inf
        lengths = torch.tensor([count, count // 3], device=device)
        check_tree(PointIndex(points, lengths), points, lengths)


@emulated
def test_tree_of_any_points(device):
    for kind in KINDS:
        for d in (1, 2, 3, 8):
            points = clouds(kind, d, 300, torch.float32).to(device)
            check_tree(PointIndex(points), points, torch.tensor([300, 300]))


def check_tree(index: PointIndex, points: Tensor, lengths: Tensor) -> None:
    """Whatever the order of the points is, everything else follows from it."""
    leaves, boxes, ids = index.trees("test", "index")
    nodes = boxes.shape[1]
    for cloud, length in enumerate(lengths.tolist()):
        order = ids[cloud, nodes:].reshape(-1).long().cpu()
        filled = int((order >= 0).sum())
        assert (order[filled:] == -1).all(), "leaves are filled from the first on"
        counts = torch.isfinite(points[cloud, :length]).all(-1).nonzero().flatten().cpu()
        assert torch.equal(order[:filled].sort().values, counts), "each finite point that counts stands in one place"
        want = reference(points[cloud].cpu(), order[:filled])
        for got, expected in zip((leaves[cloud], boxes[cloud], ids[cloud]), want, strict=True):
            assert torch.equal(got.cpu(), expected)


@emulated
def test_neighbours_in_the_tree_are_near_each_other(device):
    points = torch.rand((1, 4096, 3), device=device)
    leaves, _, _ = PointIndex(points).trees("test", "index")
    size = (leaves.amax(-1) - leaves.amin(-1)).mean()
    assert size < 0.3, f"leaves of {WIDTH} points of 4096 in a unit cube measure {size:.2f}"


@emulated
def test_coincident_points_stand_in_order(device):
    # Then the first leaf that is looked at holds the least numbers, and no other is.
    _, boxes, ids = PointIndex(torch.ones((1, 1000, 3), device=device)).trees("test", "index")
    leaves = ids[0, boxes.shape[1] :][:62].sort().values
    assert leaves.flatten().tolist() == list(range(992))


@emulated
def test_the_tree_has_the_same_bits_in_every_run(device):
    points = clouds("duplicates", 3, 3000, torch.float32).to(device)
    for a, b in zip(*(PointIndex(points).trees("test", "index") for _ in range(2)), strict=True):
        assert torch.equal(a, b)


# Searches.


@emulated
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 5, 8, 32])
def test_searches_find_the_same_bits(d, kind, device):
    for dtype in DTYPES:
        points = clouds(kind, d, 620, dtype)
        asked = queries(points).to(device)
        points = points.to(device)
        index = PointIndex(points)
        for norm in (1, 2):
            for k in COUNTS:
                assert_same(knn_points(asked, index, norm=norm, K=k), knn_points(asked, points, norm=norm, K=k))


@emulated
def test_lengths_and_more_neighbours_than_points(device):
    points = clouds("uniform", 3, 640, torch.float32).repeat(2, 1, 1)
    asked = queries(points).to(device)
    points, lengths1 = points.to(device), torch.tensor([24, 0, 7, 24], device=device)
    lengths2 = torch.tensor([640, 100, 0, 3], device=device)
    index = PointIndex(points, lengths2)
    for k in (1, 8, 33, 80, 700):
        assert_same(knn_points(asked, index, lengths1, K=k), knn_points(asked, points, lengths1, lengths2, K=k))


@emulated
@pytest.mark.parametrize("k", [1030, 2000])
def test_many_neighbours(k, device):
    points = clouds("duplicates", 2, 8 * 2000, torch.float32)[:1].to(device)
    asked = points[:, :2] + 1e-3
    want = halves(asked, points, k)
    assert_same(knn_points(asked, PointIndex(points), K=k), want)
    assert_same(knn_points(asked, points, K=k), want)


def halves(asked: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The neighbours in parts of the cloud that are small enough for brute force, merged."""
    dists, idx = [], []
    for start in range(0, points.shape[1], 4000):
        found = knn_points(asked, points[:, start : start + 4000], K=min(k, 4000))
        dists.append(found.dists)
        idx.append(found.idx + start)
    dists, idx = torch.cat(dists, -1), torch.cat(idx, -1)
    by_index = idx.argsort(-1)
    dists, idx = dists.gather(-1, by_index), idx.gather(-1, by_index)
    order = torch.sort(dists, stable=True, dim=-1).indices[..., :k]
    return dists.gather(-1, order), idx.gather(-1, order)


@emulated
@pytest.mark.parametrize("d", [1, 2, 3])
def test_large_clouds_need_no_index_to_be_searched_by_a_tree(d, device):
    # More points than brute force is for on any device, and as many queries as are brought into an order.
    points = clouds("surface" if d > 1 else "uniform", d, 8300, torch.float32)[:1].to(device)
    asked = torch.rand((1, 4100, d), device=device) - 0.5
    lengths = torch.tensor([4090], device=device)
    found = knn_points(asked, points, lengths, K=3)
    some = torch.arange(0, 4090, 37, device=device)
    want = halves(asked[:, some], points, 3)
    assert_same((found.dists[:, some], found.idx[:, some]), want)
    assert not found.dists[:, 4090:].any()
    assert not found.idx[:, 4090:].any()


# Gradients.


@emulated
@pytest.mark.parametrize("norm", [1, 2])
def test_gradient_flows_to_the_points(norm, device):
    p1 = torch.randn((2, 5, 3), dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.randn((2, 90, 3), dtype=torch.float64, device=device, requires_grad=True)
    gradients = []
    for points in (p2, PointIndex(p2), PointIndex(2 * p2 - p2)):
        found = knn_points(p1, points, norm=norm, K=4, return_nn=True)
        gradients.append(torch.autograd.grad(found.dists.square().sum() + found.knn.sum(), (p1, p2)))
    for got in gradients[1:]:
        for a, b in zip(got, gradients[0], strict=True):
            torch.testing.assert_close(a, b)


def test_second_derivative(device):
    p1 = torch.randn((1, 3, 2), dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.randn((1, 20, 2), dtype=torch.float64, device=device, requires_grad=True)
    assert gradgradcheck(lambda a, b: knn_points(a, PointIndex(b), K=2).dists, (p1, p2))


def test_the_tree_is_a_constant(device):
    points = torch.rand((1, 20, 3), device=device, requires_grad=True)
    index = PointIndex(points)
    assert index.points is points
    assert not any(part.requires_grad for part in index.trees("test", "index"))


# What an index is.


def test_attributes(device):
    points, lengths = torch.rand((3, 40, 2), device=device), torch.tensor([40, 0, 7], device=device)
    index = PointIndex(points, lengths)
    assert index.points is points
    assert index.lengths is lengths
    assert (index.dtype, index.device.type, len(index)) == (torch.float32, device.type, 3)
    assert repr(index) == f"PointIndex(N=3, P=40, D=2, dtype=torch.float32, device={points.device})"
    for name in ("points", "lengths", "device", "dtype", "anything"):
        with pytest.raises(AttributeError):
            setattr(index, name, points)


def test_halves_are_converted(device):
    for dtype in (torch.float16, torch.bfloat16):
        points = torch.rand((1, 50, 3), device=device).to(dtype).requires_grad_()
        index = PointIndex(points)
        assert index.dtype == torch.float32
        found = knn_points(points, index, K=2)
        assert_same(found, knn_points(points, points, K=2))
        knn_points(points.detach() + 1, index).dists.sum().backward()
        assert points.grad.dtype == dtype


def test_pointclouds(device):
    clouds_of = [torch.rand(30, 3, device=device), torch.rand(50, 3, device=device)]
    index = PointIndex(Pointclouds(clouds_of))
    asked = torch.rand((2, 4, 3), device=device)
    for cloud, points in enumerate(clouds_of):
        found = knn_points(asked[cloud : cloud + 1], points[None], K=5)
        assert torch.equal(knn_points(asked, index, K=5).idx[cloud], found.idx[0])


def test_strides_do_not_matter(device):
    points = torch.rand((3, 40, 2), device=device)
    asked = torch.rand((2, 4, 3), device=device)
    for view in (points.transpose(0, 2), points.transpose(0, 2)[:, ::2], points[:1, :, :1].expand(2, 40, 3)):
        assert_same(knn_points(asked, PointIndex(view), K=3), knn_points(asked, view, K=3))


def test_to_the_same_device_is_the_index_itself(device):
    index = PointIndex(torch.rand((1, 40, 3), device=device))
    assert index.to(index.device) is index


@pytest.mark.gpu
def test_to_another_device_carries_the_tree():
    points = torch.rand((2, 500, 3), requires_grad=True)
    here = PointIndex(points, torch.tensor([500, 300]))
    there = here.to("cuda")
    assert there.device.type == "cuda"
    asked = torch.rand((2, 9, 3))
    found = knn_points(asked.cuda(), there, K=4)
    assert_same((found.dists.cpu(), found.idx.cpu()), knn_points(asked, here, K=4))
    found.dists.sum().backward()
    assert points.grad.abs().sum() > 0


@pytest.mark.gpu
def test_devices_agree():
    points = clouds("grid", 3, 2000, torch.float32)
    asked = queries(points)
    here, there = PointIndex(points), PointIndex(points.cuda())
    for k in COUNTS:
        found = knn_points(asked.cuda(), there, K=k)
        assert_same((found.dists.cpu(), found.idx.cpu()), knn_points(asked, here, K=k))


@pytest.mark.gpu
def test_capture_in_a_cuda_graph():
    p1, p2 = torch.rand((1, 5000, 3), device="cuda"), torch.rand((1, 9000, 3), device="cuda")
    want = knn_points(p1, PointIndex(p2), K=4)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        knn_points(p1, PointIndex(p2), K=4)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = knn_points(p1, PointIndex(p2), K=4)
    graph.replay()
    assert_same(found, want)


def test_copies_work(device):
    index = PointIndex(torch.rand((1, 40, 3), device=device))
    asked = torch.rand((1, 4, 3), device=device)
    for other in (copy.copy(index), copy.deepcopy(index), pickle.loads(pickle.dumps(index))):
        assert_same(knn_points(asked, other, K=3), knn_points(asked, index, K=3))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_a_copy_is_cut_off_from_what_the_points_were_computed_from(copied, device):
    leaf = torch.rand((1, 40, 3), device=device, requires_grad=True)
    index = PointIndex(leaf * 2)
    other = copied(index)
    assert other.points.is_leaf
    assert other.points.data_ptr() != index.points.data_ptr()
    assert_same(knn_points(leaf, other, K=3), knn_points(leaf, index, K=3))
    assert copy.copy(index).points is index.points
    kept = copy.deepcopy(PointIndex(leaf)).points
    assert kept.requires_grad
    assert kept.is_leaf


# Stale indices.


def test_a_change_in_place_is_noticed(device):
    message = "knn_points: p2 must be an index of points that did not change since"
    points, lengths = torch.rand((2, 40, 3), device=device), torch.tensor([40, 9], device=device)
    for change in (lambda: points.add_(1), lambda: lengths.fill_(3)):
        index = PointIndex(points, lengths)
        knn_points(points, index)
        change()
        with pytest.raises(ValueError, match=message):
            knn_points(points, index)
        knn_points(points, PointIndex(points, lengths))


def test_an_optimizer_step_is_noticed(device):
    points = torch.rand((1, 40, 3), device=device, requires_grad=True)
    index = PointIndex(points)
    knn_points(torch.rand((1, 9, 3), device=device), index).dists.sum().backward()
    torch.optim.SGD([points], 0.1).step()
    with pytest.raises(ValueError, match="Build a new PointIndex"):
        knn_points(points, index)


def unseen(index: PointIndex, values: Tensor) -> PointIndex:
    """The index, after a change of its points that torch does not count."""
    index.points.data.copy_(values)
    return index


@emulated
@pytest.mark.parametrize("k", [1, 4, 33, 70])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tree_of_too_few_points_leaves_slots_open(dtype, k, device):
    # All points were NaN, so the tree holds none; now all are finite, so none is left for the slots either.
    for finite in (0, 3):
        points = torch.full((2, 600, 3), torch.nan, dtype=dtype, device=device)
        points[:, :finite] = 1
        index = unseen(PointIndex(points), torch.ones_like(points))
        dists, idx, _ = knn_points(torch.zeros((2, 5, 3), dtype=dtype, device=device), index, K=k)
        found = min(finite, k)
        assert idx[..., :found].tolist() == [[list(range(found))] * 5] * 2
        assert not idx[..., found:].any()
        assert (dists[..., :found] == 3).all()
        assert not dists[..., found:].any()


@emulated
@pytest.mark.parametrize("k", [1, 4, 33, 70])
def test_numbers_beyond_the_cloud_are_in_no_ball(k, device):
    # Of a tree whose numbers are wrong, all that lie in the ball are beyond the cloud.
    points = torch.rand((1, 600, 3), device=device)
    points[:, :300] += 50
    leaves, boxes, ids = PointIndex(points).trees("test", "index")
    beyond = torch.where(ids < 0, ids, ids + 560)
    forward = torch.ops.patina3d.ball_query_forward
    dists, idx = forward(points[:, 300:305], points, None, None, leaves, boxes, beyond, k, 10.0, False)
    assert (idx == -1).all()
    assert not dists.any()


def test_inference_mode(device):
    with torch.inference_mode():
        points = torch.rand((1, 40, 3), device=device)
        assert_same(knn_points(points, PointIndex(points), K=2), knn_points(points, points, K=2))


# Errors.

P = torch.rand(1, 4, 3)


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "points must be a torch.Tensor or Pointclouds, got list", {"points": [[0.0]]}),
        (TypeError, "points must be float32 or float64, got int64", {"points": P.long()}),
        (TypeError, "lengths must be a torch.Tensor or None, got list", {"lengths": [4]}),
        (TypeError, "lengths must be int64, got int32", {"lengths": torch.tensor([4], dtype=torch.int32)}),
        (ValueError, r"points must be of shape \(N, P, D\), got \(4, 3\)", {"points": P[0]}),
        (ValueError, "points must be of at least one coordinate a point, got 0", {"points": P[..., :0]}),
        (ValueError, r"lengths must be of shape \(N,\) = \(1,\), got \(2,\)", {"lengths": torch.tensor([4, 4])}),
        (
            ValueError,
            "lengths must be None where points are Pointclouds",
            {"points": Pointclouds([P[0]]), "lengths": torch.tensor([4])},
        ),
    ],
)
def test_errors(error, message, arguments):
    with pytest.raises(error, match=f"PointIndex: {message}"):
        PointIndex(**{"points": P, **arguments})


@emulated
def test_errors_of_a_search():
    index = PointIndex(P)
    with pytest.raises(ValueError, match="knn_points: lengths2 must be None where p2 is a PointIndex"):
        knn_points(P, index, lengths2=torch.tensor([4]))
    with pytest.raises(TypeError, match="knn_points: p2 must be float64, got float32"):
        knn_points(P.double(), index)
    with pytest.raises(ValueError, match=r"knn_points: p2 must be of shape \(N, P2, D\) = \(2, _, 3\)"):
        knn_points(P.repeat(2, 1, 1), index)
    with pytest.raises(TypeError, match=r"knn_points: p1 must be a torch\.Tensor, got PointIndex"):
        knn_points(index, P)
    leaves, boxes, ids = index.trees("test", "index")
    forward = torch.ops.patina3d.knn_forward
    for trees, message in (
        ((leaves[:, :0], boxes, ids), r"leaves must be of shape \(N, leaves, D, 16\) = \(1, 1, 3, 16\)"),
        ((leaves, boxes.double(), ids), "boxes must be float32, got float64"),
        ((leaves, boxes, ids.long()), "ids must be int32, got int64"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"knn_points: {message}"):
            forward(P, P, None, None, *trees, 2, 1)


# Torch's machinery.


@torch_warns
def test_opcheck(device):
    points, lengths = torch.rand((2, 300, 3), device=device), torch.tensor([300, 20], device=device)
    for ends in (None, lengths):
        torch.library.opcheck(torch.ops.patina3d.point_index_forward.default, (points, ends))
    index = PointIndex(points, lengths)
    arguments = (points[:, :5], points, None, lengths, *index.trees("test", "index"), 2, 3)
    torch.library.opcheck(torch.ops.patina3d.knn_forward.default, arguments)


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    p1 = torch.rand((2, 5, 3), device=device, requires_grad=True)
    p2 = torch.rand((2, 300, 3), device=device, requires_grad=True)
    index = PointIndex(p2)

    def passed_in(a: Tensor, target: PointIndex) -> Tensor:
        found = knn_points(a, target, K=3, return_nn=True)
        return found.dists.sum() + found.knn.square().sum()

    def built_inside(a: Tensor, b: Tensor) -> Tensor:
        return passed_in(a, PointIndex(b))

    want = passed_in(p1, index)
    gradients = torch.autograd.grad(want, (p1, p2))
    for function, target in ((passed_in, index), (built_inside, p2)):
        got = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)(p1, target)
        torch.testing.assert_close(got, want)
        for a, b in zip(torch.autograd.grad(got, (p1, p2)), gradients, strict=True):
            torch.testing.assert_close(a, b)


def test_functional_gradient(device):
    p1, p2 = (torch.rand((1, count, 3), dtype=torch.float64, device=device) for count in (5, 90))

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return knn_points(a, PointIndex(b), K=3).dists.square().sum()

    got = torch.func.grad(loss, argnums=(0, 1))(p1, p2)
    want = torch.autograd.grad(loss(p1.requires_grad_(), p2.requires_grad_()), (p1, p2))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_the_bare_operator_has_no_derivative(device):
    points = torch.rand((1, 20, 3), device=device, requires_grad=True)
    leaves, _, _ = torch.ops.patina3d.point_index_forward(points, None)
    with pytest.raises(RuntimeError, match="patina3d::point_index_forward has no derivative of its own"):
        leaves.sum().backward()


def test_no_trees_are_three_missing_tensors():
    assert NO_TREES == (None, None, None)
