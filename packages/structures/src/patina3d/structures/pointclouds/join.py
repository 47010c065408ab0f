# SPDX-License-Identifier: Apache-2.0
"""Many point clouds into one batch, or into one cloud."""

from collections.abc import Sequence

from patina3d.structures.layout import RowLayout
from patina3d.structures.pointclouds.pointclouds import Pointclouds
from patina3d.structures.ragged import RaggedRows

__all__ = ["join_pointclouds_as_batch", "join_pointclouds_as_scene"]


def join_pointclouds_as_batch(pointclouds: Sequence[Pointclouds]) -> Pointclouds:
    """One batch of all clouds, in order; their tensors are shared.

    Args:
        pointclouds: sequence of Pointclouds on one device; all or none have normals, all or none features of one width
            (batches without any cloud do not count). An empty sequence gives an empty batch.

    Raises:
        ValueError: a bare Pointclouds, another type, different devices, normals or features of some only, different
            numbers of features.

    Example:
        >>> clouds = Pointclouds([torch.rand(3, 3)])
        >>> join_pointclouds_as_batch([clouds, clouds])
        Pointclouds(N=2, points=[3, 3], dtype=float32, device=cpu)
    """
    if (
        isinstance(pointclouds, Pointclouds)
        or not isinstance(pointclouds, Sequence)
        or not all(isinstance(clouds, Pointclouds) for clouds in pointclouds)
    ):
        raise ValueError(
            "join_pointclouds_as_batch: Wrong first argument: pointclouds must be a sequence of Pointclouds"
        )
    occupied = [clouds for clouds in pointclouds if len(clouds) > 0]
    if not occupied:
        return Pointclouds([])
    devices = {str(clouds.device) for clouds in pointclouds}
    if len(devices) > 1:
        raise ValueError(f"join_pointclouds_as_batch: pointclouds must be on the same device, got {sorted(devices)}")
    lists = {}
    for name in ("points", "normals", "features"):
        parts = [getattr(clouds, f"{name}_list")() for clouds in occupied]
        if any(part is None for part in parts) and not all(part is None for part in parts):
            raise ValueError(
                f"join_pointclouds_as_batch: all pointclouds or none must have {name}, got some set to None"
            )
        lists[name] = None if parts[0] is None else [tensor for part in parts for tensor in part]
    if len({clouds._C for clouds in occupied}) > 1:
        widths = [clouds._C for clouds in occupied]
        raise ValueError(
            f"join_pointclouds_as_batch: all pointclouds must have the same number of features, got {widths}"
        )
    return Pointclouds(**lists)


def join_pointclouds_as_scene(pointclouds: Pointclouds | Sequence[Pointclouds]) -> Pointclouds:
    """One cloud of all points, with their normals and features.

    Args:
        pointclouds: Pointclouds, or a sequence of them, as ``join_pointclouds_as_batch``.

    Returns:
        A batch of one cloud; a batch of one is returned as the same object. No clouds at all give one cloud without
        points.

    Raises:
        ValueError: as ``join_pointclouds_as_batch``.

    Example:
        >>> join_pointclouds_as_scene(Pointclouds([torch.rand(3, 3), torch.rand(5, 3)]))
        Pointclouds(N=1, points=[8], dtype=float32, device=cpu)
    """
    if not isinstance(pointclouds, Pointclouds):
        pointclouds = join_pointclouds_as_batch(pointclouds)
    if len(pointclouds) == 1:
        return pointclouds
    layout = RowLayout([pointclouds.points_packed().shape[0]], pointclouds.device)

    def packed(rows: RaggedRows) -> RaggedRows:
        return RaggedRows(layout, padded=rows.as_packed()[None])

    return pointclouds._each(packed)
