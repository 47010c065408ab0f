# SPDX-License-Identifier: Apache-2.0
"""The smallest textures that meshes accept: one row of features a vertex."""

import torch
from torch import Tensor


class VertexColors:
    """Duck-typed textures, as the structures see them; ``calls`` records what was asked of each object."""

    def __init__(self, features: list[Tensor]) -> None:
        self.features = features
        self.calls: list[tuple] = []

    def _new(self, features: list[Tensor], *call: object) -> "VertexColors":
        other = type(self)(features)
        other.calls = [*self.calls, call]
        return other

    def check_shapes(self, batch_size: int, max_num_verts: int, max_num_faces: int) -> bool:
        return len(self.features) == batch_size and max((len(f) for f in self.features), default=0) == max_num_verts

    def sample_textures(self, fragments: object, faces_packed: Tensor | None = None) -> tuple:
        return fragments, faces_packed

    def clone(self) -> "VertexColors":
        return self._new([f.clone() for f in self.features], "clone")

    def detach(self) -> "VertexColors":
        return self._new([f.detach() for f in self.features], "detach")

    def to(self, device: torch.device) -> "VertexColors":
        return self._new([f.to(device) for f in self.features], "to", device)

    def extend(self, copies: int) -> "VertexColors":
        return self._new([f for f in self.features for _ in range(copies)], "extend", copies)

    def __getitem__(self, index: int | slice | list[int]) -> "VertexColors":
        if isinstance(index, slice):
            return self._new(self.features[index], "getitem")
        return self._new([self.features[n] for n in ([index] if isinstance(index, int) else index)], "getitem")

    def submeshes(self, vertex_ids: list[list[Tensor]], face_ids: object) -> "VertexColors":
        chosen = [f[ids] for f, sets in zip(self.features, vertex_ids, strict=True) for ids in sets]
        return self._new(chosen, "submeshes")

    def join_batch(self, textures: list["VertexColors"]) -> "VertexColors":
        return self._new([f for t in (self, *textures) for f in t.features], "join_batch")

    def join_scene(self) -> "VertexColors":
        return self._new([torch.cat(self.features)], "join_scene")
