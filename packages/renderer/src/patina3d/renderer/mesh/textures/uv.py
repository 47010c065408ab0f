# SPDX-License-Identifier: Apache-2.0
"""Images that texture coordinates lay over the faces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.map_sampling import (
    PADDING_MODES,
    SAMPLING_MODES,
    sample_maps,
    texel_coordinates,
)
from patina3d.renderer.mesh.textures.maps import MapImages
from patina3d.renderer.mesh.textures.rows import MeshRows
from patina3d.renderer.mesh.textures.scene_map import maps_in_one
from patina3d.renderer.mesh.textures.slots import sample_occupied
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TexturesUV"]


class TexturesUV(TexturesBase):
    r"""An image for each mesh, and for each corner of each face the place in it.

    (u, v) runs to the right and **up**; (0, 0) is the lower left of the image, whose row 0 is on top. Where corners are
    aligned, 0 and 1 are the centres of the outermost texels: column :math:`u (W - 1)`, row :math:`(1 - v)(H - 1)`;
    otherwise they are their outer edges: column :math:`u W - 1/2`, row :math:`(1 - v) H - 1/2`.

    Args:
        maps: list of N images (H_n, W_n, C), or (N, H, W, C). With ``maps_ids``, list of (M_n, H_n, W_n, C), or
            (N, M, H, W, C). Each is sampled at its own size.
        faces_uvs: list of N tensors (F_n, 3) of integers, or (N, F, 3): for each corner the row of ``verts_uvs`` of
            its mesh; floating numbers are cut to integers. A negative entry, or one beyond the rows of its own mesh but
            not those of the largest, is a corner without texture coordinates: it is at (0, 0).
        verts_uvs: list of N tensors (T_n, 2), or (N, T, 2): texture coordinates (u, v), which need not be as many as
            the vertices of the mesh.
        maps_ids: list of N tensors (F_n,) of integers, or (N, F): for each face the image, of those of its mesh, that
            it takes its values from. Negative entries are padding.
        padding_mode: what is beyond [0, 1]: "border" the nearest texel, "zeros", or the "reflection" of the image.
        align_corners: see above.
        sampling_mode: "bilinear" or "nearest".

    Raises:
        ValueError: wrong ranks or batch sizes, members that differ in channels, dtype or device, an image without
            texels, indices that refer to nothing, an unknown mode.
        TypeError: bool or complex indices, texture coordinates that are not floating.

    Differentiable in ``maps`` and, if bilinear, in ``verts_uvs`` and barycentric coordinates.

    Example:
        >>> image = torch.arange(12.0).reshape(3, 4, 1)
        >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.25, 0.75]])
        >>> textures = TexturesUV([image], [torch.tensor([[0, 1, 2]])], [corners])
        >>> textures.faces_verts_textures_packed().flatten()
        tensor([ 8.0000, 11.0000,  2.7500])
    """

    def __init__(
        self,
        maps: Tensor | Sequence[Tensor],
        faces_uvs: Tensor | Sequence[Tensor],
        verts_uvs: Tensor | Sequence[Tensor],
        *,
        maps_ids: Tensor | Sequence[Tensor] | None = None,
        padding_mode: str = "border",
        align_corners: bool = True,
        sampling_mode: str = "bilinear",
    ) -> None:
        _check_mode("padding_mode", padding_mode, PADDING_MODES)
        _check_mode("sampling_mode", sampling_mode, SAMPLING_MODES)
        self.padding_mode = padding_mode
        self.align_corners = align_corners
        self.sampling_mode = sampling_mode
        self._faces_uvs = _faces_uvs(faces_uvs)
        self._verts_uvs = MeshRows(verts_uvs, row_dims=2, name="TexturesUV: verts_uvs")
        self._maps = MapImages(maps, row_dims=3 if maps_ids is None else 4, name="TexturesUV: maps")
        self._maps_ids = None if maps_ids is None else _indices(maps_ids, 1, "maps_ids")
        self._N = len(self._faces_uvs)
        self._num_faces_per_mesh = self._faces_uvs.sizes
        self.device = self._faces_uvs.device
        self._check_parts()
        self.valid = torch.tensor([size > 0 for size in self._faces_uvs.sizes], dtype=torch.bool, device=self.device)

    def _check_parts(self) -> None:
        _check_width(self._faces_uvs, 3, "faces_uvs")
        _check_width(self._verts_uvs, 2, "verts_uvs")
        if any(not uvs.is_floating_point() for uvs in self._verts_uvs.values):
            raise TypeError(f"TexturesUV: verts_uvs must be floating, got {self._verts_uvs.values[0].dtype}")
        if any(image.numel() == 0 and image.shape[-1] > 0 for image in self._maps.values):
            shapes = [tuple(image.shape) for image in self._maps.values]
            raise ValueError(f"TexturesUV: maps must have a texel each, got {shapes}")
        for part in self._parts():
            rows, name = getattr(self, part), part.removeprefix("_")
            if len(rows) != self._N:
                raise ValueError(f"TexturesUV: {name} must have {self._N} entries like faces_uvs, got {len(rows)}")
            if rows.device != self.device and self._N > 0:
                raise ValueError(f"TexturesUV: {name} must be on {self.device} like faces_uvs, got {rows.device}")
        if self._maps_ids is not None and self._maps_ids.sizes != self._faces_uvs.sizes:
            raise ValueError(
                f"TexturesUV: maps_ids must have an entry for each of {self._faces_uvs.sizes} faces, "
                f"got {self._maps_ids.sizes}"
            )
        _check_range(self._faces_uvs, [self._verts_uvs.width] * self._N, "faces_uvs", "row of verts_uvs")
        if self._maps_ids is not None:
            _check_range(self._maps_ids, self._maps.sizes, "maps_ids", "map")

    def _parts(self) -> dict[str, list[int]]:
        faces = self._num_faces_per_mesh or []
        parts = {"_maps": self._maps.sizes, "_faces_uvs": faces, "_verts_uvs": self._verts_uvs.sizes}
        return parts if self._maps_ids is None else {**parts, "_maps_ids": faces}

    def faces_uvs_padded(self) -> Tensor:
        """(N, F, 3) int64, with 0 after the faces of each mesh that was given in a list."""
        return self._faces_uvs.as_padded()

    def faces_uvs_list(self) -> list[Tensor]:
        """N tensors (F_n, 3) int64."""
        return self._faces_uvs.as_list(self._parts()["_faces_uvs"])

    def verts_uvs_padded(self) -> Tensor:
        """(N, T, 2), with 0 after the coordinates of each mesh that was given in a list."""
        return self._verts_uvs.as_padded()

    def verts_uvs_list(self) -> list[Tensor]:
        """N tensors (T_n, 2); those of a padded input all have T rows."""
        return self._verts_uvs.as_list(self._verts_uvs.sizes)

    def maps_padded(self) -> Tensor:
        """(N, H, W, C), or (N, M, H, W, C) with ``maps_ids``.

        A list of images of different sizes is resized bilinearly to the greatest height and width, which changes
        colours a little: sampling does not look at these, but at `maps_list`.
        """
        return self._maps.resized_padded(align_corners=self.align_corners)

    def maps_list(self) -> list[Tensor]:
        """N images (H_n, W_n, C), or stacks of them (M_n, H_n, W_n, C) with ``maps_ids``."""
        return self._maps.as_list(self._maps.sizes)

    def maps_ids_padded(self) -> Tensor | None:
        """(N, F) int64, with 0 after the faces of each mesh that was given in a list; None without ``maps_ids``."""
        return None if self._maps_ids is None else self._maps_ids.as_padded()

    def maps_ids_list(self) -> list[Tensor] | None:
        """N tensors (F_n,) int64; None without ``maps_ids``."""
        return None if self._maps_ids is None else self._maps_ids.as_list(self._parts()["_maps_ids"])

    # PyTorch3D's names for what is kept; programs read them.

    @property
    def _maps_padded(self) -> Tensor:
        return self.maps_padded()

    @property
    def _maps_list(self) -> list[Tensor]:
        return self.maps_list()

    @property
    def _faces_uvs_padded(self) -> Tensor:
        return self.faces_uvs_padded()

    @property
    def _faces_uvs_list(self) -> list[Tensor]:
        return self.faces_uvs_list()

    @property
    def _verts_uvs_padded(self) -> Tensor:
        return self.verts_uvs_padded()

    @property
    def _verts_uvs_list(self) -> list[Tensor]:
        return self.verts_uvs_list()

    def sample_textures(self, fragments: Any, **kwargs: Any) -> Tensor:
        """The image of the mesh at each point that a rasterizer found.

        Args:
            fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) and ``bary_coords`` (N, H, W, K, 3) are
                read.
            **kwargs: not used.

        Returns:
            (N, H, W, K, C), 0 in empty slots. Differentiable in the maps, the texture coordinates and the barycentric
            coordinates.

        Raises:
            ValueError: ``fragments`` are not those of N images.
            TypeError: the maps are not floating.

        Cost: O(N H W K C). The maps are not copied, whatever K is, beyond one tensor that holds all of a list; an image
        that several meshes share stands in it once.
        """
        pix_to_face = fragments.pix_to_face
        if pix_to_face.shape[0] != self._N:
            raise ValueError(
                f"TexturesUV.sample_textures: fragments must be of {self._N} images, got {pix_to_face.shape[0]}"
            )
        corners = self._corners()
        uv = interpolate_face_attributes(pix_to_face, fragments.bary_coords, corners).reshape(-1, 2)
        faces, slots_per_element = pix_to_face.reshape(-1), pix_to_face[:1].numel()

        def sample(slots: Tensor) -> Tensor:
            elements = slots.div(slots_per_element, rounding_mode="floor")
            return self._sample(elements, faces[slots].clamp(min=0), gather_rows(uv, slots))

        return sample_occupied(pix_to_face, sample, has_faces=corners.shape[0] > 0)

    def faces_verts_textures_packed(self) -> Tensor:
        """(sum of F_n, 3, C): the image at each corner of each face, sampled as at pixels."""
        corners, faces = self._corners(), torch.arange(self._num_faces, device=self.device)
        elements = self._element_of_face()
        sampled = self._sample(elements.repeat_interleave(3), faces.repeat_interleave(3), corners.reshape(-1, 2))
        return sampled.reshape(self._num_faces, 3, sampled.shape[-1])

    @property
    def _num_faces(self) -> int:
        return sum(self._parts()["_faces_uvs"])

    def _element_of_face(self) -> Tensor:
        counts = torch.tensor(self._parts()["_faces_uvs"], dtype=torch.int64, device=self.device)
        elements = torch.arange(self._N, device=self.device)
        return elements.repeat_interleave(counts, output_size=self._num_faces)

    def _corners(self) -> Tensor:
        """(sum of F_n, 3, 2): the texture coordinates at each corner of each face."""
        if self._num_faces == 0:
            return self.verts_uvs_padded().new_zeros(0, 3, 2)
        uvs = torch.nn.functional.pad(self.verts_uvs_padded(), (0, 0, 0, 1))
        # The row of zeros after all others is where corners without coordinates read.
        faces = self._faces_uvs.as_packed(self._parts()["_faces_uvs"])
        elements = self._element_of_face()
        own = torch.tensor(self._verts_uvs.sizes, dtype=torch.int64, device=self.device)[elements][:, None]
        rows = torch.where((faces < 0) | (faces >= own), uvs.shape[1] - 1, faces) + (elements * uvs.shape[1])[:, None]
        return gather_rows(uvs.flatten(0, 1), rows)

    def _sample(self, elements: Tensor, faces: Tensor, uv: Tensor) -> Tensor:
        """(M, C) at (M, 2) texture coordinates on (M,) packed faces of (M,) elements."""
        table = self._maps.table()
        if not table.texels.is_floating_point():
            raise TypeError(f"TexturesUV: maps must be floating to be sampled, got {table.texels.dtype}")
        maps = table.first_map[elements]
        if self._maps_ids is not None:
            maps = maps + self._maps_ids.as_packed(self._parts()["_maps_ids"])[faces].clamp(min=0)
        return sample_maps(
            table,
            maps,
            uv,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
            sampling_mode=self.sampling_mode,
        )

    def _check_joinable(self, other: TexturesBase) -> None:
        for mode in ("padding_mode", "align_corners", "sampling_mode"):
            mine, its = getattr(self, mode), getattr(other, mode)
            if mine != its:
                raise ValueError(f"TexturesUV.join_batch: textures must have one {mode}, got {mine} and {its}")
        if len({"_maps_ids" in batch._parts() for batch in (self, other)}) > 1:
            raise ValueError("TexturesUV.join_batch: textures must all have maps_ids, or none")

    def join_scene(self) -> "Self":
        """One texture for all meshes as one mesh.

        With ``maps_ids`` the maps become one stack. Otherwise they become one map, in which they lie side by side (some
        of them transposed, where that saves room); an image that several meshes share (the same tensor) lies there
        once. Colours are those of before, exactly, for texture coordinates in [0, 1]; beyond, neighbours show.

        Raises:
            ValueError: there is no mesh; or, with ``maps_ids``, maps of different sizes.
        """
        if self._N == 0:
            raise ValueError("TexturesUV.join_scene: there must be at least one mesh")
        uvs, counts = self.verts_uvs_list(), self._verts_uvs.sizes
        modes = {
            "padding_mode": self.padding_mode,
            "align_corners": self.align_corners,
            "sampling_mode": self.sampling_mode,
        }
        faces = torch.cat(_shifted(self.faces_uvs_list(), counts))[None]
        if self._maps_ids is not None:
            stacks = self.maps_list()
            if len({stack.shape[1:] for stack in stacks}) > 1:
                raise ValueError("TexturesUV.join_scene: maps with maps_ids must have one size to become one stack")
            ids = torch.cat(_shifted(self.maps_ids_list() or [], [stack.shape[0] for stack in stacks]))
            return type(self)(torch.cat(stacks)[None], faces, torch.cat(uvs)[None], maps_ids=ids[None], **modes)
        if self._N == 1:
            return type(self)(self.maps_list()[0][None], faces, uvs[0][None], **modes)
        image, uvs = maps_in_one(
            self.maps_list(), uvs, align_corners=self.align_corners, with_edges=self.padding_mode != "zeros"
        )
        return type(self)(image[None], faces, torch.cat(uvs)[None], **modes)

    def submeshes(
        self, vertex_ids_list: Sequence[Sequence[Tensor]], faces_ids_list: Sequence[Sequence[Tensor]]
    ) -> "Self":
        """See `TexturesBase.submeshes`; the faces decide. Each part keeps all coordinates and the map of its mesh."""
        faces = self._rows_of_parts(self.faces_uvs_list(), faces_ids_list, "faces_ids_list")
        elements = [n for n, parts in enumerate(faces_ids_list) for _ in parts]
        chosen = self._select(elements)
        chosen._faces_uvs = chosen._faces_uvs.with_elements(faces)
        if self._maps_ids is not None:
            ids = self._rows_of_parts(self.maps_ids_list() or [], faces_ids_list, "faces_ids_list")
            chosen._maps_ids = self._maps_ids.with_elements(ids)
        chosen._num_faces_per_mesh = chosen._faces_uvs.sizes
        chosen._num_verts_per_mesh = None
        chosen.valid = torch.tensor([len(part) > 0 for part in faces], dtype=torch.bool, device=self.device)
        return chosen

    def centers_for_image(self, index: int) -> Tensor:
        """(T, 2): where the texture coordinates of a mesh lie in its map: (column, row), texel centres whole.

        Args:
            index: of the mesh.

        Raises:
            ValueError: there is no such mesh, or it has several maps.
        """
        if not -self._N <= index < self._N:
            raise ValueError(f"TexturesUV.centers_for_image: index must be one of {self._N} meshes, got {index}")
        if self._maps_ids is not None:
            raise ValueError("TexturesUV.centers_for_image: the mesh must have one map, got several (maps_ids)")
        height, width, _ = self.maps_list()[index].shape
        uvs = self.verts_uvs_list()[index]
        size = [torch.tensor(side, device=uvs.device).expand(len(uvs)) for side in (height, width)]
        return texel_coordinates(uvs, *size, align_corners=self.align_corners)

    def check_shapes(self, batch_size: int, max_num_verts: int, max_num_faces: int) -> bool:
        """Whether there are texture coordinates for each face of a batch of meshes of these sizes."""
        return (self._N, self._faces_uvs.width) == (batch_size, max_num_faces)


def _shifted(indices: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """Indices into lists of these sizes, as indices into the lists joined; those that refer to nothing become -1."""
    shifted, start = [], 0
    for index, size in zip(indices, sizes, strict=True):
        shifted.append(torch.where((index < 0) | (index >= size), -1, index + start))
        start += size
    return shifted


def _check_mode(name: str, mode: str, modes: Sequence[str]) -> None:
    if mode not in modes:
        raise ValueError(f"TexturesUV: {name} must be one of {', '.join(modes)}, got {mode!r}")


def _check_width(rows: MeshRows, width: int, name: str) -> None:
    if any(row.shape[-1] != width for row in rows.values):
        shapes = [tuple(row.shape) for row in rows.values]
        raise ValueError(f"TexturesUV: {name} must have {width} columns, got {shapes}")


def _faces_uvs(values: Tensor | Sequence[Tensor]) -> MeshRows:
    rows = MeshRows(values, 2, "TexturesUV: faces_uvs")
    if any(row.is_complex() or row.dtype == torch.bool for row in rows.values):
        raise TypeError(f"TexturesUV: faces_uvs must be integers, got {rows.values[0].dtype}")
    return rows.map(lambda tensor: tensor.to(torch.int64))


def _indices(values: Tensor | Sequence[Tensor], row_dims: int, name: str) -> MeshRows:
    rows = MeshRows(values, row_dims, f"TexturesUV: {name}")
    for row in rows.values:
        if row.numel() > 0 and (row.is_floating_point() or row.is_complex() or row.dtype == torch.bool):
            raise TypeError(f"TexturesUV: {name} must be integers, got {row.dtype}")
    return rows.map(lambda tensor: tensor.to(torch.int64))


def _check_range(rows: MeshRows, sizes: Sequence[int], name: str, what: str) -> None:
    """Each entry must be below the size that belongs to its element; 0 is padding where there is nothing."""
    occupied = [n for n, row in enumerate(rows.values) if row.numel() > 0]
    if not occupied:
        return
    # One transfer from the device, whatever the number of meshes.
    greatest = torch.stack([rows.values[n].max() for n in occupied]).tolist()
    for n, highest in zip(occupied, greatest, strict=True):
        if highest >= max(sizes[n], 1):
            raise ValueError(f"TexturesUV: {name}[{n}] refers to {what} {highest}, but there are {sizes[n]}")
