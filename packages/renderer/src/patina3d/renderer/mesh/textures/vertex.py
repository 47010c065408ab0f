# SPDX-License-Identifier: Apache-2.0
"""A value at each vertex."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.rows import MeshRows
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TexturesVertex"]


class TexturesVertex(TexturesBase):
    """C features at each vertex, spread over the faces by barycentric coordinates.

    Args:
        verts_features: list of N tensors (V_n, C), or one (N, V, C) padded with anything after each mesh's vertices.
            Floating; colours in [0, 1] for the lighting of this package, but any features will do.

    Raises:
        ValueError: for another shape or type, or a list whose members differ in C, dtype or device.

    All results are differentiable in ``verts_features``.

    Example:
        >>> textures = TexturesVertex([torch.zeros(3, 2), torch.ones(1, 2)])
        >>> textures.verts_features_padded().shape, textures[1].verts_features_packed()
        (torch.Size([2, 3, 2]), tensor([[1., 1.]]))
    """

    def __init__(self, verts_features: Tensor | Sequence[Tensor]) -> None:
        self._verts_features = MeshRows(verts_features, row_dims=2, name="TexturesVertex: verts_features")
        self._N = len(self._verts_features)
        self._num_verts_per_mesh = self._verts_features.sizes
        self.device = self._verts_features.device
        self.valid = torch.tensor(
            [size > 0 for size in self._verts_features.sizes], dtype=torch.bool, device=self.device
        )

    def _parts(self) -> dict[str, list[int]]:
        return {"_verts_features": self._num_verts_per_mesh or []}

    def verts_features_padded(self) -> Tensor:
        """(N, V, C), with 0 after the features of each mesh that was given in a list."""
        return self._verts_features.as_padded()

    def verts_features_list(self) -> list[Tensor]:
        """N tensors (V_n, C)."""
        return self._verts_features.as_list(self._parts()["_verts_features"])

    def verts_features_packed(self) -> Tensor:
        """(sum of V_n, C)."""
        return self._verts_features.as_packed(self._parts()["_verts_features"])

    # PyTorch3D's names for what is kept; programs read them.

    @property
    def _verts_features_list(self) -> list[Tensor]:
        return self.verts_features_list()

    @property
    def _verts_features_padded(self) -> Tensor:
        return self.verts_features_padded()

    def sample_textures(self, fragments: Any, faces_packed: Tensor | None = None, **kwargs: Any) -> Tensor:
        """The features at each point that a rasterizer found.

        Args:
            fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) and ``bary_coords`` (N, H, W, K, 3) are
                read.
            faces_packed: (sum of F_n, 3) int64, the meshes' faces.
            **kwargs: not used.

        Returns:
            (N, H, W, K, C), 0 in empty slots. Differentiable in the features and the barycentric coordinates.
        """
        corners = self.faces_verts_textures_packed(faces_packed)
        return interpolate_face_attributes(fragments.pix_to_face, fragments.bary_coords, corners)

    def faces_verts_textures_packed(self, faces_packed: Tensor | None = None) -> Tensor:
        """(sum of F_n, 3, C): the features at each corner of each face.

        Args:
            faces_packed: (sum of F_n, 3) int64, the meshes' faces.

        Raises:
            ValueError: when ``faces_packed`` is missing.
        """
        if faces_packed is None:
            raise ValueError("TexturesVertex: faces_packed must be the (F, 3) faces of the meshes, got None")
        return gather_rows(self.verts_features_packed(), faces_packed)

    def submeshes(
        self, vertex_ids_list: Sequence[Sequence[Tensor]], faces_ids_list: Sequence[Sequence[Tensor]]
    ) -> "Self":
        """See `TexturesBase.submeshes`; the vertices decide."""
        return type(self)(self._rows_of_parts(self.verts_features_list(), vertex_ids_list, "vertex_ids_list"))

    def join_scene(self) -> "Self":
        """All vertices' features, as those of one mesh."""
        return type(self)([self.verts_features_packed()])

    def check_shapes(self, batch_size: int, max_num_verts: int, max_num_faces: int) -> bool:
        """Whether there is a row of features for each vertex of a batch of meshes of these sizes."""
        return (self._N, self._verts_features.width) == (batch_size, max_num_verts)
