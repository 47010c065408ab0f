# SPDX-License-Identifier: Apache-2.0
"""A little picture on each face."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.renderer._reference.rasterize_meshes import barycentric_coordinates_clip
from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.rows import MeshRows
from patina3d.renderer.mesh.textures.slots import sample_occupied
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TexturesAtlas"]


class TexturesAtlas(TexturesBase):
    r"""R x R cells on each face, each of one value: no texture coordinates, no seams.

    The face is the half :math:`w_0 + w_1 \le 1` of the unit square of its barycentric coordinates. A grid of R columns
    :math:`x = \lfloor w_0 R \rfloor` and R rows :math:`y = \lfloor w_1 R \rfloor` divides it into
    :math:`R^2` triangles: the lower half of each square, :math:`(w_0 + w_1) R - (x + y) \le 1`, has the value in column
    x and row y; the upper half, where there is one, has that of the mirrored cell, column R - 1 - x and row R - 1 - y.

    Args:
        atlas: list of N tensors (F_n, R, R, C), or one (N, F, R, R, C) padded with anything after each mesh's faces.

    Raises:
        ValueError: for another shape or type, cells that are not square, or a list whose members differ in R, C, dtype
            or device.

    Differentiable in ``atlas``; a value does not change within its cell, so there is no gradient to positions.

    Example:
        >>> textures = TexturesAtlas([torch.zeros(3, 4, 4, 2), torch.ones(1, 4, 4, 2)])
        >>> textures.atlas_padded().shape, textures[1].atlas_packed().shape
        (torch.Size([2, 3, 4, 4, 2]), torch.Size([1, 4, 4, 2]))
    """

    def __init__(self, atlas: Tensor | Sequence[Tensor]) -> None:
        self._atlas = MeshRows(atlas, row_dims=4, name="TexturesAtlas: atlas")
        if any(cells.shape[1] != cells.shape[2] for cells in self._atlas.values):
            shapes = sorted({tuple(cells.shape) for cells in self._atlas.values})
            raise ValueError(f"TexturesAtlas: atlas must be (F, R, R, C) for each mesh, got {shapes}")
        self._N = len(self._atlas)
        self._num_faces_per_mesh = self._atlas.sizes
        self.device = self._atlas.device
        self.valid = torch.tensor([size > 0 for size in self._atlas.sizes], dtype=torch.bool, device=self.device)

    def _parts(self) -> dict[str, list[int]]:
        return {"_atlas": self._num_faces_per_mesh or []}

    def atlas_padded(self) -> Tensor:
        """(N, F, R, R, C), with 0 after the faces of each mesh that was given in a list."""
        return self._atlas.as_padded()

    def atlas_list(self) -> list[Tensor]:
        """N tensors (F_n, R, R, C)."""
        return self._atlas.as_list(self._parts()["_atlas"])

    def atlas_packed(self) -> Tensor:
        """(sum of F_n, R, R, C)."""
        return self._atlas.as_packed(self._parts()["_atlas"])

    # PyTorch3D's names for what is kept; programs read them.

    @property
    def _atlas_list(self) -> list[Tensor]:
        return self.atlas_list()

    @property
    def _atlas_padded(self) -> Tensor:
        return self.atlas_padded()

    def sample_textures(self, fragments: Any, **kwargs: Any) -> Tensor:
        """The value of the cell at each point that a rasterizer found.

        Args:
            fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) and ``bary_coords`` (N, H, W, K, 3) are
                read. Points outside their face take the cell of the nearest point of it that clipping the coordinates
                gives.
            **kwargs: not used.

        Returns:
            (N, H, W, K, C), 0 in empty slots. Differentiable in the atlas.
        """
        atlas = self.atlas_packed()
        num_faces, size, _, channels = atlas.shape
        cells = atlas.reshape(num_faces * size * size, channels)
        weights = fragments.bary_coords.detach().reshape(-1, 3)
        faces = fragments.pix_to_face.reshape(-1)

        def sample(slots: Tensor) -> Tensor:
            row, column = _cell(weights.index_select(0, slots), size)
            face = faces.index_select(0, slots).clamp(min=0)
            return gather_rows(cells, (face * size + row) * size + column)

        return sample_occupied(fragments.pix_to_face, sample, has_faces=num_faces > 0)

    def faces_verts_textures_packed(self) -> Tensor:
        """(sum of F_n, 3, C): the cell at each corner of each face."""
        atlas = self.atlas_packed()
        return torch.stack([atlas[:, 0, -1], atlas[:, -1, 0], atlas[:, 0, 0]], dim=1)

    def submeshes(
        self, vertex_ids_list: Sequence[Sequence[Tensor]], faces_ids_list: Sequence[Sequence[Tensor]]
    ) -> "Self":
        """See `TexturesBase.submeshes`; the faces decide."""
        return type(self)(self._rows_of_parts(self.atlas_list(), faces_ids_list, "faces_ids_list"))

    def join_scene(self) -> "Self":
        """All faces' cells, as those of one mesh."""
        return type(self)([self.atlas_packed()])

    def check_shapes(self, batch_size: int, max_num_verts: int, max_num_faces: int) -> bool:
        """Whether there are cells for each face of a batch of meshes of these sizes."""
        return (self._N, self._atlas.width) == (batch_size, max_num_faces)


def _cell(weights: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The row and column of the cell that holds the points (M, 3)."""
    outside = (weights < 0).any(-1, keepdim=True)
    w0, w1, w2 = weights.unbind(-1)
    clipped = torch.stack(barycentric_coordinates_clip((w0, w1, w2)), dim=-1)
    weights = torch.where(outside, clipped, weights)[:, :2]
    cell = (weights * size).to(torch.int64).clamp(0, size - 1)
    beyond_diagonal = weights.sum(-1, keepdim=True) * size - cell.sum(-1, keepdim=True) > 1
    column, row = torch.where(beyond_diagonal, size - 1 - cell, cell).unbind(-1)
    return row, column
