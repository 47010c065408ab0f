# SPDX-License-Identifier: Apache-2.0
"""Connectivity of a batch of meshes: edges, Laplacian, and the three forms of the faces.

All of it follows from the faces and the vertex counts, not from positions. Meshes that differ in positions alone (a
mesh and its deformed copies) share one ``Topology``: what is computed through one of them is there for all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from patina3d.structures.layout import RowLayout
from patina3d.structures.once import copy_with, once
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["Topology", "unique_edges"]


class Topology:
    """The faces of a batch of N meshes and what follows from them. Never changes.

    Args:
        verts: layout of the vertices.
        faces: layout of the faces.
        faces_list: N int64 tensors (F_n, 3) of indices into the vertices of their own mesh; or
        faces_padded: (N, width, 3) int64, the same with rows of -1 as padding.
    """

    def __init__(
        self,
        verts: RowLayout,
        faces: RowLayout,
        *,
        faces_list: list[Tensor] | None = None,
        faces_padded: Tensor | None = None,
    ) -> None:
        self.verts = verts
        self.faces = faces
        self._faces_list = faces_list
        self._faces_padded = faces_padded
        self.laplacians: dict[torch.dtype, Tensor] = {}

    @classmethod
    def of_lists(cls, verts: RowLayout, faces: list[Tensor]) -> "Topology":
        """The topology of meshes with faces (F_n, 3)."""
        return cls(verts, RowLayout([f.shape[0] for f in faces], verts.device), faces_list=faces)

    @once
    def faces_list(self) -> list[Tensor]:
        """N tensors (F_n, 3), indices into the vertices of their own mesh."""
        assert self._faces_padded is not None
        return self.faces.list_from_padded(self._faces_padded)

    @once
    def faces_padded(self) -> Tensor:
        """(N, width, 3), indices into the vertices of their own mesh, padded with -1."""
        return self.faces.padded_from_packed(self._local_faces(), padding=-1)

    @once
    def faces_packed(self) -> Tensor:
        """(sum F_n, 3), indices into the packed vertices."""
        faces = self._local_faces()
        if len(self.faces) <= 1:
            return faces
        return faces + gather_rows(self.verts.first_row(), self.faces.element_of_row())[:, None]

    def _local_faces(self) -> Tensor:
        """(sum F_n, 3), indices into the vertices of their own mesh."""
        if self._faces_padded is not None:
            return self.faces.packed_from_padded(self._faces_padded)
        if not self._faces_list:
            return torch.zeros((0, 3), dtype=torch.int64, device=self.faces.device)
        return self.faces.packed_from_list(self._faces_list)

    @once
    def edges(self) -> tuple[Tensor, Tensor]:
        """The edges (sum E_n, 2) as packed vertex indices, and the edges of each face (sum F_n, 3)."""
        return unique_edges(self.faces_packed(), self.verts.total)

    @once
    def hinges(self) -> Tensor:
        """(H, 4) packed vertices v0, v1, a, b: an edge and the opposite corners of two of its faces, for every pair."""
        edges, edge_of_face = self.edges()
        return _face_pairs(edges, edge_of_face, self.faces_packed())

    @once
    def mesh_of_edge(self) -> Tensor:
        """(sum E_n,) int64: the mesh of each edge."""
        return gather_rows(self.verts.element_of_row(), self.edges()[0][:, 0])

    @once
    def first_edge(self) -> Tensor:
        """(N,) int64: the packed edge at which each mesh begins."""
        # Edges ascend, so those of a mesh begin where its first vertex would be inserted.
        return torch.searchsorted(self.edges()[0][:, 0].contiguous(), self.verts.first_row())

    @once
    def num_edges(self) -> Tensor:
        """(N,) int32: edges of each mesh."""
        end = self.first_edge().new_tensor([self.edges()[0].shape[0]])
        return torch.cat([self.first_edge(), end]).diff().to(torch.int32)

    def laplacian(self, dtype: torch.dtype) -> Tensor:
        """The uniform Laplacian of all meshes, sparse (sum V_n, sum V_n), computed once a dtype."""
        if dtype not in self.laplacians:
            self.laplacians[dtype] = _uniform_laplacian(self.edges()[0], self.verts.total, dtype)
        return self.laplacians[dtype]

    def computed(self, name: str) -> Tensor | list[Tensor] | None:
        """What the method ``name`` would return if it was computed or given, else None."""
        return getattr(self, f"_{name}", None)

    def select(self, elements: Sequence[int]) -> "Topology":
        """The topology of the chosen meshes, in that order; face tensors are shared."""
        faces_list = self.faces_list()
        verts = RowLayout([self.verts.counts[n] for n in elements], self.verts.device)
        return Topology.of_lists(verts, [faces_list[n] for n in elements])

    def clone(self) -> "Topology":
        """A copy that shares no tensor."""
        other = copy_with(self, torch.clone)
        other.verts, other.faces = self.verts.clone(), self.faces.clone()
        return other

    def to(self, device: torch.device) -> "Topology":
        """The same on another device, with everything computed so far."""
        other = copy_with(self, lambda tensor: tensor.to(device))
        other.verts, other.faces = self.verts.to(device), self.faces.to(device)
        return other


def unique_edges(faces: Tensor, num_verts: int) -> tuple[Tensor, Tensor]:
    """The undirected edges of triangles, each once, and where the edges of each triangle stand among them.

    Args:
        faces: (F, 3) int64 vertex indices in [0, num_verts).
        num_verts: number of vertices.

    Returns:
        A tuple of

        - edges: (E, 2) int64; each row (a, b) has a <= b, the rows ascend lexicographically. A face with a repeated
          vertex has an edge (a, a).
        - edge_of_face: (F, 3) int64; column k is the edge opposite corner k.

    Cost: one sort of 3 F keys; waits for the device, as E depends on the data.

    Example:
        >>> edges, edge_of_face = unique_edges(torch.tensor([[0, 1, 2], [3, 2, 1]]), 4)
        >>> edges.tolist()
        [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
        >>> edge_of_face.tolist()
        [[2, 1, 0], [2, 3, 4]]
    """
    starts, ends = faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]
    keys = torch.minimum(starts, ends) * num_verts + torch.maximum(starts, ends)
    unique, edge_of_face = torch.unique(keys, return_inverse=True)
    if num_verts == 0:
        return unique.new_zeros((0, 2)), edge_of_face.reshape(-1, 3)
    edges = torch.stack([unique.div(num_verts, rounding_mode="floor"), unique % num_verts], dim=1)
    return edges, edge_of_face.reshape(-1, 3)


def _face_pairs(edges: Tensor, edge_of_face: Tensor, faces: Tensor) -> Tensor:
    edge, corner = edge_of_face.reshape(-1).sort(stable=True)
    opposite = faces.reshape(-1)[corner]
    pairs = []
    # The faces of an edge stand side by side now; a manifold edge has two, so one round finds all pairs.
    for apart in range(1, edge.shape[0]):
        first = (edge[apart:] == edge[:-apart]).nonzero()[:, 0]
        if first.shape[0] == 0:
            break
        pairs.append(torch.cat([edges[edge[first]], opposite[first, None], opposite[first + apart, None]], dim=1))
    return torch.cat(pairs) if pairs else edges.new_zeros((0, 4))


def _uniform_laplacian(edges: Tensor, num_verts: int, dtype: torch.dtype) -> Tensor:
    edges = edges[edges[:, 0] != edges[:, 1]]  # a vertex is not its own neighbour
    rows, columns = torch.cat([edges, edges.flip(1)]).unbind(1)
    degree = sum_rows(torch.ones_like(rows, dtype=torch.float64), rows, num_verts)
    diagonal = torch.arange(num_verts, device=edges.device)
    values = torch.cat([1 / gather_rows(degree, rows), -torch.ones_like(diagonal, dtype=torch.float64)])
    index = torch.stack([torch.cat([rows, diagonal]), torch.cat([columns, diagonal])])
    return torch.sparse_coo_tensor(index, values.to(dtype), (num_verts, num_verts), check_invariants=False).coalesce()
