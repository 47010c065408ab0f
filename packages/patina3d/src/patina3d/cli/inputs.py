# SPDX-License-Identifier: Apache-2.0
"""Meshes, devices and folders as the command line names them."""

import tempfile
import warnings
from pathlib import Path

import torch

from patina3d.cli.errors import UserError
from patina3d.io import IO
from patina3d.renderer import TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils.shapes import SHAPES, shape

__all__ = ["into_unit_ball", "load_target", "open_folder", "pick_device"]

_GREY = (0.72, 0.70, 0.66)


def pick_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is CUDA where torch has it."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device must be auto, cpu, cuda or cuda:i, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device must be auto, cpu, cuda or cuda:i, got {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UserError(f"--device {name}: torch sees {count} CUDA devices; `patina3d doctor` says why")
    return device


def load_target(target: str, device: torch.device) -> Meshes:
    """One mesh with textures, grey where it has none, from a file or by the name of a procedural shape."""
    mesh = shape(target) if target in SHAPES else _load_file(Path(target))
    if mesh.isempty():
        raise UserError(f"{target} holds no faces")
    verts = mesh.verts_packed()
    if not torch.isfinite(verts).all():
        raise UserError(f"{target} holds vertices that are not finite")
    if mesh.faces_packed().max() >= len(verts) or mesh.faces_packed().min() < 0:
        raise UserError(f"{target} holds faces of vertices that it does not have")
    if mesh.textures is None:
        mesh.textures = TexturesVertex(verts.new_tensor(_GREY).expand_as(mesh.verts_padded()))
    return mesh.to(device)


def _load_file(path: Path) -> Meshes:
    if not path.is_file():
        names = ", ".join(SHAPES)
        raise UserError(f"{path} is no file, and no shape of that name is built in ({names})")
    try:
        with warnings.catch_warnings():
            # What the loaders warn of: faces of vertices that are not there are an error here, a missing picture is
            # drawn in grey.
            warnings.simplefilter("ignore")
            return IO().load_mesh(path)
    except (ValueError, OSError, ImportError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def into_unit_ball(mesh: Meshes) -> tuple[Meshes, torch.Tensor, float]:
    """The mesh moved and scaled into the unit ball; (centre, scale) lead back, in float64: ``centre + x / scale``."""
    # Wide enough for the square of any coordinate of a file.
    verts = mesh.verts_packed().double()
    centre = (verts.max(0).values + verts.min(0).values) / 2
    radius = (verts - centre).norm(dim=-1).max().item()
    if radius <= 0:
        raise UserError("the mesh has no extent: all its vertices are one point")
    inside = ((verts - centre) / radius).to(mesh.verts_padded().dtype)
    return mesh.update_padded(inside[None]), centre, 1 / radius


def open_folder(path: Path) -> Path:
    """The folder, made if need be, after trying to write there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}") from None
    return path
