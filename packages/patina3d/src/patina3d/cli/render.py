# SPDX-License-Identifier: Apache-2.0
"""``patina3d render``."""

import math
from pathlib import Path

import imageio.v3 as iio
import torch
from rich.console import Console

from patina3d.cli.errors import UserError
from patina3d.cli.inputs import into_unit_ball, load_target, open_folder, pick_device
from patina3d.cli.pictures import portrait, to_bytes

__all__ = ["run_render"]

_FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tiff")


def run_render(target: str, output: Path, size: int, elevation: float, azimuth: float, device_name: str) -> None:
    """Write a picture of a mesh."""
    if output.suffix.lower() not in _FORMATS:
        raise UserError(f"--output must end in one of {', '.join(_FORMATS)}, got {str(output)!r}")
    for name, angle in (("--elevation", elevation), ("--azimuth", azimuth)):
        if not math.isfinite(angle):
            raise UserError(f"{name} must be finite, got {angle}")
    device = pick_device(device_name)
    mesh, _, _ = into_unit_ball(load_target(target, device))
    open_folder(output.parent)
    with torch.no_grad():
        picture = portrait(mesh, size, elevation, azimuth)
    try:
        iio.imwrite(output, to_bytes(picture))
    except (OSError, ValueError) as error:
        raise UserError(f"{output} cannot be written: {error}") from None
    Console().print(
        f"{output}: {size} x {size} pixels, {len(mesh.verts_packed())} vertices, {len(mesh.faces_packed())} faces"
    )
