# SPDX-License-Identifier: Apache-2.0
"""``Meshes``: a batch of triangle meshes of different sizes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.common.batch_index import (
    BatchIndex,
    checked_copies,
    checked_splits,
    normalized_index,
    selected_elements,
)
from patina3d.common.datatypes import Device, make_device
from patina3d.structures.layout import RowLayout
from patina3d.structures.mesh_face_areas_normals import mesh_face_areas_normals
from patina3d.structures.meshes.checks import checked_lists, checked_normals, checked_padded
from patina3d.structures.meshes.submeshes import chosen_faces, face_positions
from patina3d.structures.meshes.topology import Topology
from patina3d.structures.meshes.vertex_normals import vertex_normals
from patina3d.structures.once import computed_form, map_tensors
from patina3d.structures.ragged import RaggedRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["Meshes"]


def _index(name: str, *caches: str) -> property:
    """The index tensor that the method ``name`` returns once one of the caches it belongs to is there, else None."""
    return property(
        lambda self: getattr(self, name)() if any(getattr(self, cache) is not None for cache in caches) else None
    )


class Meshes:
    r"""A batch of N triangle meshes; mesh n has V_n vertices and F_n faces.

    The same data is seen in three forms. What was given is kept as it is; the other forms are made when first asked
    for, and the same object is returned from then on.

    ========  =======================  ===================  ==============================================
    form      vertices                 faces                face indices count
    ========  =======================  ===================  ==============================================
    list      N tensors (V_n, 3)       N tensors (F_n, 3)   from the first vertex of their mesh
    padded    (N, max V_n, 3), pad 0   (N, \*, 3), pad -1   from the first vertex of their mesh
    packed    (sum V_n, 3)             (sum F_n, 3)         from the first vertex of the batch
    ========  =======================  ===================  ==============================================

    Forms may share memory with one another and with the input: treat them as read-only.

    Everything is differentiable in the vertices, in every form. Index tensors are int64 except where noted. Faces are
    seen from outside where their corners run counter-clockwise.

    What follows from the faces alone (edges, Laplacian, index tensors) is computed once, on the device, and shared by
    all meshes made from this one by ``offset_verts``, ``scale_verts`` and ``update_padded``: in a loop that deforms a
    mesh it is there from the second iteration on, whichever of the meshes asked for it.

    Args:
        verts: list of N floating tensors (V_n, 3), or one tensor (N, V, 3), of which every row counts as a vertex. A
            mesh without vertices may be (0, 3) or (0,).
        faces: list of N tensors (F_n, 3) of vertex indices of their own mesh, or one tensor (N, F, 3); any integer
            dtype, or floating whole numbers. A row with a negative entry is padding: in lists it is dropped, in a
            tensor it must follow all faces of its mesh.
        textures: an object with ``sample_textures(fragments, faces_packed=)`` and ``check_shapes(N, V, F)``; for the
            methods of the same names also ``clone``, ``detach``, ``to``, ``extend``, ``__getitem__``, ``submeshes``,
            ``join_batch``, ``join_scene``. It is kept, not copied, and is told its sizes by the attributes ``valid``,
            ``_num_faces_per_mesh`` and ``_num_verts_per_mesh``.
        verts_normals: normals to use in place of computed ones, as they are: list of (V_n, 3), or (N, V, 3).

    Attributes:
        device: device of all tensors.
        textures: the object given, or None.
        valid: (N,) bool, whether a mesh has a face.
        equisized: whether N > 0 and all meshes have equally many vertices and equally many faces.

    Raises:
        ValueError: not two lists or two tensors; wrong shapes, unequal lengths, different devices; a face that refers
            to a vertex that is not there; padding before a face in a tensor; textures that do not fit.
        TypeError: vertices that are not floating or have more than one dtype; faces that are not numbers.

    Example:
        >>> triangle = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> square = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
        >>> meshes = Meshes([triangle, square], [torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 2], [0, 2, 3]])])
        >>> meshes
        Meshes(N=2, verts=[3, 4], faces=[1, 2], dtype=float32, device=cpu)
        >>> meshes.faces_packed()
        tensor([[0, 1, 2],
                [3, 4, 5],
                [3, 5, 6]])
        >>> meshes.faces_areas_packed()
        tensor([0.5000, 0.5000, 0.5000])
    """

    # Tensors that clone, detach and to carry over beside the vertices and faces. A subclass may add its own.
    _INTERNAL_TENSORS = ["_faces_normals_packed", "_faces_areas_packed", "valid"]

    def __init__(
        self,
        verts: list[Tensor] | Tensor,
        faces: list[Tensor] | Tensor,
        textures: Any = None,
        *,
        verts_normals: list[Tensor] | Tensor | None = None,
    ) -> None:
        if isinstance(verts, list) and isinstance(faces, list):
            rows, faces = checked_lists(verts, faces)
            topology = Topology.of_lists(rows.layout, faces)
        elif isinstance(verts, Tensor) and isinstance(faces, Tensor):
            faces, num_faces = checked_padded(verts, faces)
            num, width, _ = verts.shape
            rows = RaggedRows(RowLayout([width] * num, verts.device, width=width), padded=verts)
            layout = RowLayout(num_faces, verts.device, width=faces.shape[1])
            topology = Topology(rows.layout, layout, faces_padded=faces)
        else:
            raise ValueError(
                "Meshes: verts and faces must both be lists or both be tensors, "
                f"got {type(verts).__name__} and {type(faces).__name__}"
            )
        normals = None if verts_normals is None else checked_normals(verts_normals, rows.layout)
        self._hold(topology, rows, normals, textures)

    def _hold(self, topology: Topology, verts: RaggedRows, normals: RaggedRows | None, textures: Any) -> Self:
        """Fill this object with checked parts; all else it may have held before is forgotten."""
        self._topology = topology
        self.device = topology.verts.device
        self._N = len(topology.verts)
        self._V = topology.verts.width
        self._F = max(topology.faces.counts, default=0)
        self.equisized = topology.verts.is_uniform and topology.faces.is_uniform
        self.valid = torch.tensor([n > 0 for n in topology.faces.counts], dtype=torch.bool, device=self.device)
        self._hold_verts(verts)
        self._verts_normals = normals
        self._verts_normals_source = None if normals is None else "given"
        self._hold_textures(textures)
        return self

    def _hold_verts(self, verts: RaggedRows) -> None:
        """Take new positions and forget the geometry of the faces."""
        self._verts = verts
        self._faces_areas_packed: Tensor | None = None
        self._faces_normals_packed: Tensor | None = None

    def _hold_textures(self, textures: Any) -> None:
        self.textures = textures
        if textures is None:
            return
        if not hasattr(textures, "sample_textures"):
            raise ValueError(f"Meshes: textures must have sample_textures, which {type(textures).__name__} has not")
        textures._num_faces_per_mesh = list(self._topology.faces.counts)
        textures._num_verts_per_mesh = list(self._topology.verts.counts)
        textures.valid = self.valid
        self._check_textures()

    def _check_textures(self) -> None:
        if not self.textures.check_shapes(self._N, self._V, self._F):
            raise ValueError(
                f"Meshes: textures ({type(self.textures).__name__}) do not match the dimensions of the meshes: "
                f"{self._N} meshes of at most {self._V} vertices and {self._F} faces"
            )

    def __len__(self) -> int:
        return self._N

    def __repr__(self) -> str:
        parts = [
            f"N={self._N}",
            f"verts={self._topology.verts}",
            f"faces={self._topology.faces}",
            f"dtype={str(self._verts.dtype).removeprefix('torch.')}",
            f"device={self.device}",
        ]
        if self._verts_normals_source == "given":
            parts.append("verts_normals=given")
        if self.textures is not None:
            parts.append(f"textures={type(self.textures).__name__}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getitem__(self, index: BatchIndex) -> Self:
        """The chosen meshes, as a batch; their tensors are shared.

        Args:
            index: an int (negative counts from the end), a slice, a list of ints, a list of N bools, or a 1-D bool (N,)
                or integer tensor; repeats are allowed.

        Raises:
            IndexError: out of range, a mask that has not N entries, or any other type.
        """
        chosen = normalized_index(index, self._N, "Meshes")
        elements = selected_elements(chosen, self._N)
        topology, normals = self._topology.select(elements), self._given_normals()
        return copy.copy(self)._hold(
            topology,
            self._verts.select(elements, topology.verts),
            None if normals is None else normals.select(elements, topology.verts),
            None if self.textures is None else self.textures[chosen],
        )

    def isempty(self) -> bool:
        """Whether no mesh has a face."""
        return not any(self._topology.faces.counts)

    # Vertices and faces in their three forms.

    def verts_list(self) -> list[Tensor]:
        """Vertices of each mesh: list of N tensors (V_n, 3)."""
        return list(self._verts.as_list())

    def verts_packed(self) -> Tensor:
        """Vertices of all meshes, one mesh after the other: (sum V_n, 3)."""
        return self._verts.as_packed()

    def verts_padded(self) -> Tensor:
        """Vertices of each mesh, padded with 0: (N, max V_n, 3), or the tensor that was given."""
        return self._verts.as_padded()

    def faces_list(self) -> list[Tensor]:
        """Faces of each mesh: list of N tensors (F_n, 3), indices into the vertices of their mesh."""
        return list(self._topology.faces_list())

    def faces_packed(self) -> Tensor:
        """Faces of all meshes: (sum F_n, 3), indices into ``verts_packed()``."""
        return self._topology.faces_packed()

    def faces_padded(self) -> Tensor:
        """Faces of each mesh, padded with -1: (N, max F_n, 3), or the tensor that was given at its own width."""
        return self._topology.faces_padded()

    # Index tensors.

    def verts_packed_to_mesh_idx(self) -> Tensor:
        """(sum V_n,): the mesh of each packed vertex."""
        return self._topology.verts.element_of_row()

    def mesh_to_verts_packed_first_idx(self) -> Tensor:
        """(N,): the packed vertex at which each mesh begins; an empty mesh has that of the next."""
        return self._topology.verts.first_row()

    def num_verts_per_mesh(self) -> Tensor:
        """(N,): V_n."""
        return self._topology.verts.num_rows()

    def verts_padded_to_packed_idx(self) -> Tensor:
        """(sum V_n,): where each packed vertex stands in ``verts_padded().reshape(-1, 3)``."""
        return self._topology.verts.padded_row()

    def faces_packed_to_mesh_idx(self) -> Tensor:
        """(sum F_n,): the mesh of each packed face."""
        return self._topology.faces.element_of_row()

    def mesh_to_faces_packed_first_idx(self) -> Tensor:
        """(N,): the packed face at which each mesh begins; a mesh without faces has that of the next."""
        return self._topology.faces.first_row()

    def num_faces_per_mesh(self) -> Tensor:
        """(N,): F_n."""
        return self._topology.faces.num_rows()

    # Edges and the Laplacian.

    def edges_packed(self) -> Tensor:
        """The edges of all faces, each once: (sum E_n, 2) indices into ``verts_packed()``.

        Each row (a, b) has a <= b, and the rows ascend, so the edges of a mesh stand together and meshes stand in
        order. A face with a repeated vertex has an edge (a, a). Cost: one sort of 3 sum F_n keys, once.

        Example:
            >>> mesh = Meshes([torch.rand(4, 3)], [torch.tensor([[0, 1, 2], [3, 2, 1]])])
            >>> mesh.edges_packed().tolist()
            [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
        """
        return self._topology.edges()[0]

    def hinges_packed(self) -> Tensor:
        """Every pair of faces that share an edge: (H, 4) int64 packed vertices v0, v1, a, b.

        (v0, v1) is the edge, a and b are the corners of the two faces that are not on it. An edge of k faces has
        k (k - 1) / 2 pairs. Computed once a topology.
        """
        return self._topology.hinges()

    def faces_packed_to_edges_packed(self) -> Tensor:
        """(sum F_n, 3): column k is the edge opposite corner k, an index into ``edges_packed()``."""
        return self._topology.edges()[1]

    def edges_packed_to_mesh_idx(self) -> Tensor:
        """(sum E_n,): the mesh of each edge."""
        return self._topology.mesh_of_edge()

    def mesh_to_edges_packed_first_idx(self) -> Tensor:
        """(N,): the edge at which each mesh begins; a mesh without edges has that of the next."""
        return self._topology.first_edge()

    def num_edges_per_mesh(self) -> Tensor:
        """(N,) int32: E_n."""
        return self._topology.num_edges()

    def laplacian_packed(self) -> Tensor:
        r"""The uniform Laplacian: a sparse COO matrix (sum V_n, sum V_n) with the dtype of the vertices.

        .. math::
            L_{ii} = -1, \qquad L_{ij} = 1 / \deg(i) \text{ if } ij \text{ is an edge}, \qquad L_{ij} = 0 \text{ else}

        ``L @ verts`` points from each vertex to the mean of its neighbours. Coalesced. A vertex is not its own
        neighbour, even where a degenerate face makes an edge (a, a).

        Example:
            >>> mesh = Meshes([torch.rand(3, 3)], [torch.tensor([[0, 1, 2]])])
            >>> mesh.laplacian_packed().to_dense()
            tensor([[-1.0000,  0.5000,  0.5000],
                    [ 0.5000, -1.0000,  0.5000],
                    [ 0.5000,  0.5000, -1.0000]])
        """
        return self._topology.laplacian(self._verts.dtype)

    # Normals and areas.

    def has_verts_normals(self) -> bool:
        """Whether vertex normals were given, or have been asked for."""
        return self._verts_normals_source is not None

    def verts_normals_packed(self) -> Tensor:
        r"""Vertex normals: (sum V_n, 3), those given, else unit vectors.

        The normal of a vertex is the sum of the cross products :math:`(v_1 - v_0) \times (v_2 - v_0)` of its faces (so
        faces count by area), divided by its length. A vertex without faces, or whose faces cancel, has normal 0. The
        sums run in the order of the faces: the same bits in every run.
        """
        return self._normals_of_verts().as_packed()

    def verts_normals_list(self) -> list[Tensor]:
        """Vertex normals of each mesh: list of N tensors (V_n, 3)."""
        return list(self._normals_of_verts().as_list())

    def verts_normals_padded(self) -> Tensor:
        """Vertex normals padded with 0, as wide as ``verts_padded()``: (N, max V_n, 3)."""
        return self._normals_of_verts().as_padded()

    def faces_normals_packed(self) -> Tensor:
        r"""Unit normals of the faces: (sum F_n, 3), :math:`(v_1 - v_0) \times (v_2 - v_0)` over its length.

        A degenerate face has normal 0; what counts as degenerate does not depend on the scale of the mesh.
        """
        self._compute_face_areas_normals()
        assert self._faces_normals_packed is not None
        return self._faces_normals_packed

    def faces_normals_list(self) -> list[Tensor]:
        """Unit normals of the faces of each mesh: list of N tensors (F_n, 3)."""
        return self._topology.faces.list_from_packed(self.faces_normals_packed())

    def faces_normals_padded(self) -> Tensor:
        """Unit normals of the faces padded with 0, as wide as ``faces_padded()``: (N, max F_n, 3)."""
        return self._topology.faces.padded_from_packed(self.faces_normals_packed(), padding=0)

    def faces_areas_packed(self) -> Tensor:
        """Areas of the faces: (sum F_n,)."""
        self._compute_face_areas_normals()
        assert self._faces_areas_packed is not None
        return self._faces_areas_packed

    # Copies.

    def clone(self) -> Self:
        """A copy that shares no memory: every tensor, and the textures, are cloned. The autograd graph is kept."""
        textures = None if self.textures is None else self.textures.clone()
        return self._mapped(torch.clone, self._topology.clone(), textures)

    def detach(self) -> Self:
        """The same meshes, sharing memory, from which no gradient flows back."""
        textures = None if self.textures is None else self.textures.detach()
        return self._mapped(torch.detach, self._topology, textures)

    def to(self, device: Device, copy: bool = False) -> Self:
        """The same meshes on another device; differentiable.

        Args:
            device: a device or its name; plain ``"cuda"`` is the current CUDA device.
            copy: make a clone even where the meshes are there already.

        Returns:
            This object if it is there already and no copy is asked for, else a new one.
        """
        target = make_device(device)
        if target == self.device:
            return self.clone() if copy else self
        textures = None if self.textures is None else self.textures.clone().to(target)
        return self._mapped(lambda tensor: tensor.to(target), self._topology.to(target), textures)

    def cpu(self) -> Self:
        """The same meshes on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """The same meshes on the current CUDA device."""
        return self.to("cuda")

    # Parts and repetitions.

    def get_mesh_verts_faces(self, index: int) -> tuple[Tensor, Tensor]:
        """Vertices (V_n, 3) and faces (F_n, 3) of mesh ``index``.

        Raises:
            ValueError: not an int, or not in [0, N).
        """
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < self._N:
            raise ValueError(f"Meshes.get_mesh_verts_faces: index must be an int in [0, {self._N}), got {index!r}")
        return self.verts_list()[index], self.faces_list()[index]

    def split(self, split_sizes: list[int]) -> list[Self]:
        """Consecutive batches of the given sizes, which must sum to N.

        Raises:
            ValueError: a size is not an int or negative, or the sizes do not sum to N.
        """
        return [self[part] for part in checked_splits(split_sizes, self._N, "Meshes")]

    def extend(self, N: int) -> Self:
        """Each mesh N times in a row: a a b b; every copy has its own memory.

        Raises:
            ValueError: N is not an int, or not positive.
        """
        copies = checked_copies(N, "Meshes")
        elements = [n for n in range(self._N) for _ in range(copies)]
        topology, normals = self._topology.select(elements).clone(), self._given_normals()

        def repeated(rows: RaggedRows) -> RaggedRows:
            return rows.select(elements, topology.verts).mapped(torch.clone, topology.verts)

        return copy.copy(self)._hold(
            topology,
            repeated(self._verts),
            None if normals is None else repeated(normals),
            None if self.textures is None else self.textures.extend(copies),
        )

    def submeshes(self, face_indices: list[list[Tensor]] | list[Tensor] | Tensor) -> Self:
        """Meshes made of chosen faces of these meshes.

        Args:
            face_indices: for each mesh its sub-meshes: a list of 1-D tensors of face indices or bool masks, or a 2-D
                tensor (sub-meshes, faces); or one 3-D tensor for all meshes. Repeats are allowed.

        Returns:
            One mesh for each set of indices, in order. Its faces are those chosen, in the order given; its vertices are
            those in use, in their old order. An empty set gives a mesh without vertices. Textures follow by their own
            ``submeshes(vertices of each sub-mesh, faces of each sub-mesh)``.

        Raises:
            ValueError: ``face_indices`` has not one entry for each mesh.
            IndexError: an index is out of range, or is not an integer.

        Example:
            >>> mesh = Meshes([torch.rand(4, 3)], [torch.tensor([[0, 1, 2], [3, 2, 1]])])
            >>> mesh.submeshes([[torch.tensor([1])]]).faces_list()
            [tensor([[2, 1, 0]])]
        """
        positions = face_positions(self.faces_list(), face_indices)
        parts = chosen_faces(self.faces_list(), positions)
        vertex_ids = [[ids for ids, _ in parts_of_mesh] for parts_of_mesh in parts]
        faces = [chosen for parts_of_mesh in parts for _, chosen in parts_of_mesh]
        layout = RowLayout([ids.shape[0] for sets in vertex_ids for ids in sets], self.device)
        normals = self._given_normals()
        return copy.copy(self)._hold(
            Topology.of_lists(layout, faces),
            self._verts.gathered(vertex_ids, layout),
            None if normals is None else normals.gathered(vertex_ids, layout),
            None if self.textures is None else self.textures.submeshes(vertex_ids, positions),
        )

    # Other positions, same faces.

    def offset_verts_(self, vert_offsets_packed: Tensor) -> Self:
        """Shift the vertices of this object; see ``offset_verts``. The tensors it was made from do not change."""
        areas, normals = self._faces_areas_packed, self._faces_normals_packed
        self._hold_verts(self._verts.shifted(vert_offsets_packed, "Meshes.offset_verts"))
        if vert_offsets_packed.ndim == 1:
            self._faces_areas_packed, self._faces_normals_packed = areas, normals
        elif self._verts_normals_source is not None:
            self._verts_normals, self._verts_normals_source = None, "computed"
        return self

    def offset_verts(self, vert_offsets_packed: Tensor) -> Self:
        """The same meshes with shifted vertices; all that follows from the faces, and the textures, are shared.

        Args:
            vert_offsets_packed: (3,), one shift for all vertices; or (sum V_n, 3), one for each packed vertex, after
                which normals are computed anew, also where they were given.

        Returns:
            New meshes, differentiable in the vertices and the shifts.

        Raises:
            ValueError: any other shape.
        """
        return copy.copy(self).offset_verts_(vert_offsets_packed)

    def scale_verts_(self, scale: float | Tensor) -> Self:
        """Scale the vertices of this object; see ``scale_verts``. The tensors it was made from do not change."""
        self._hold_verts(self._verts.scaled(scale, "Meshes.scale_verts"))
        return self

    def scale_verts(self, scale: float | Tensor) -> Self:
        """The same meshes with their vertices multiplied by a number; vertex normals and textures are shared.

        Args:
            scale: a number or 0-d tensor for all meshes, or (N,), one for each mesh.

        Returns:
            New meshes, differentiable in the vertices and the scale.

        Raises:
            ValueError: a tensor of any other shape.
        """
        return copy.copy(self).scale_verts_(scale)

    def update_padded(self, new_verts_padded: Tensor) -> Self:
        """The same meshes with other positions; nothing is copied, and all that follows from the faces is shared.

        Args:
            new_verts_padded: (N, max V_n, 3) floating positions; rows beyond V_n are not vertices.

        Returns:
            New meshes with the same faces, textures and given vertex normals. Differentiable in the positions.

        Raises:
            ValueError: another shape or device.
            TypeError: not floating.
        """
        new = new_verts_padded
        if new.shape != (self._N, self._V, 3) or new.device != self.device:
            raise ValueError(
                f"Meshes.update_padded: new_verts_padded must have shape {(self._N, self._V, 3)} on {self.device}, "
                f"got {tuple(new.shape)} on {new.device}"
            )
        if not new.is_floating_point():
            raise TypeError(f"Meshes.update_padded: new_verts_padded must be floating, got {new.dtype}")
        other = copy.copy(self)
        other._hold_verts(RaggedRows(self._topology.verts, padded=new))
        if self._verts_normals_source != "given":
            other._verts_normals = other._verts_normals_source = None
        return other

    # Questions about a whole mesh, and textures.

    def get_bounding_boxes(self) -> Tensor:
        """(N, 3, 2): ``[n, axis, 0]`` is the least and ``[n, axis, 1]`` the greatest coordinate of mesh n.

        A mesh without vertices has (inf, -inf), the box that contains nothing. Differentiable; at ties the gradient is
        shared.
        """
        return self._topology.verts.bounding_boxes(self.verts_padded())

    def sample_textures(self, fragments: Any) -> Tensor:
        """``textures.sample_textures(fragments, faces_packed=...)``: the texture at each pixel of ``fragments``.

        Raises:
            ValueError: there are no textures, or they do not fit the meshes.
        """
        if self.textures is None:
            raise ValueError("Meshes.sample_textures: these meshes have no textures")
        self._check_textures()
        return self.textures.sample_textures(fragments, faces_packed=self.faces_packed())

    # What is kept, and when it is computed. Other modules may look at these, and find None where nothing is there yet.

    _verts_list = computed_form("_verts", "list")
    _verts_packed = computed_form("_verts", "packed")
    _verts_padded = computed_form("_verts", "padded")
    _faces_list = computed_form("_topology", "faces_list")
    _faces_packed = computed_form("_topology", "faces_packed")
    _faces_padded = computed_form("_topology", "faces_padded")
    _verts_normals_packed = computed_form("_verts_normals", "packed")

    @property
    def _num_verts_per_mesh(self) -> Tensor:
        return self.num_verts_per_mesh()

    @property
    def _num_faces_per_mesh(self) -> Tensor:
        return self.num_faces_per_mesh()

    @property
    def _edges_packed(self) -> Tensor | None:
        edges = self._topology.computed("edges")
        return None if edges is None else edges[0]

    _verts_packed_to_mesh_idx = _index("verts_packed_to_mesh_idx", "_verts_packed", "_faces_packed")
    _mesh_to_verts_packed_first_idx = _index("mesh_to_verts_packed_first_idx", "_verts_packed", "_faces_packed")
    _verts_padded_to_packed_idx = _index("verts_padded_to_packed_idx", "_verts_packed", "_faces_packed")
    _faces_packed_to_mesh_idx = _index("faces_packed_to_mesh_idx", "_verts_packed", "_faces_packed")
    _mesh_to_faces_packed_first_idx = _index("mesh_to_faces_packed_first_idx", "_verts_packed", "_faces_packed")
    _edges_packed_to_mesh_idx = _index("edges_packed_to_mesh_idx", "_edges_packed")
    _mesh_to_edges_packed_first_idx = _index("mesh_to_edges_packed_first_idx", "_edges_packed")
    _faces_packed_to_edges_packed = _index("faces_packed_to_edges_packed", "_edges_packed")
    _num_edges_per_mesh = _index("num_edges_per_mesh", "_edges_packed")

    @property
    def _laplacian_packed(self) -> Tensor | None:
        return self._topology.laplacians.get(self._verts.dtype)

    def _compute_packed(self, refresh: bool = False) -> None:
        self.verts_packed()
        self.faces_packed()

    def _compute_padded(self, refresh: bool = False) -> None:
        self.verts_padded()
        self.faces_padded()

    def _compute_edges_packed(self, refresh: bool = False) -> None:
        self.edges_packed()

    def _compute_face_areas_normals(self, refresh: bool = False) -> None:
        if refresh or self._faces_normals_packed is None:
            areas, normals = mesh_face_areas_normals(self.verts_packed(), self.faces_packed())
            self._faces_areas_packed, self._faces_normals_packed = areas, normals

    def _compute_vertex_normals(self, refresh: bool = False) -> None:
        if refresh or self._verts_normals is None:
            packed = vertex_normals(self.verts_packed(), self.faces_packed())
            self._verts_normals = RaggedRows(self._topology.verts, packed=packed)
            self._verts_normals_source = "computed"

    def _normals_of_verts(self) -> RaggedRows:
        self._compute_vertex_normals()
        assert self._verts_normals is not None
        return self._verts_normals

    def _given_normals(self) -> RaggedRows | None:
        return self._verts_normals if self._verts_normals_source == "given" else None

    def _mapped(self, change: Callable[[Tensor], Tensor], topology: Topology, textures: Any) -> Self:
        """A copy whose own tensors have gone through ``change``."""
        other = copy.copy(self)
        for name in self._INTERNAL_TENSORS:
            setattr(other, name, map_tensors(getattr(self, name), change))
        other._topology = topology
        other.device = topology.verts.device
        other._verts = self._verts.mapped(change, topology.verts)
        if self._verts_normals is not None:
            other._verts_normals = self._verts_normals.mapped(change, topology.verts)
        other._hold_textures(textures)
        return other
