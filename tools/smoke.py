# SPDX-License-Identifier: Apache-2.0
"""Try an installation: every operator against its definition, forward and backward, then a short fit.

Knows nothing of the repository: what it runs on is what is installed. Uses the GPU too where there is one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch

from patina3d.core import doctor
from patina3d.ops import knn_points
from patina3d.ops._reference.knn import knn_points as knn_definition
from patina3d.renderer import rasterize_meshes
from patina3d.utils import ico_sphere


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """The gradient of a loss."""
    return torch.autograd.grad(loss, of)[0]


def try_knn(device: str) -> None:
    """Against the definition."""
    p1 = torch.rand(2, 50, 3, dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.rand(2, 60, 3, dtype=torch.float64, device=device)
    got, expected = knn_points(p1, p2, K=4), knn_definition(p1, p2, K=4)
    torch.testing.assert_close(got.dists, expected[0])
    torch.testing.assert_close(got.idx, expected[1])
    torch.testing.assert_close(gradient(got.dists.sum(), p1), gradient(expected[0].sum(), p1))


def try_rasterize_meshes(device: str) -> None:
    """A sphere of radius 1/2 at depth 2 covers a disc, and is nearest at its middle."""
    sphere = ico_sphere(3, device=device)
    verts = (sphere.verts_padded() / 2 + torch.tensor([0.0, 0.0, 2.0], device=device)).requires_grad_()
    pix_to_face, zbuf, bary_coords, _ = rasterize_meshes(sphere.update_padded(verts), image_size=64, faces_per_pixel=1)
    covered = (pix_to_face >= 0).double().mean().item()
    assert abs(covered - torch.pi / 16) < 0.01, covered
    depth = zbuf[zbuf > 0].min().item()
    assert abs(depth - 1.5) < 0.01, depth
    total = bary_coords[pix_to_face >= 0].sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-3)
    assert gradient(zbuf[pix_to_face >= 0].sum(), verts).isfinite().all()


def try_fit(_: str) -> None:
    """The command line writes what it promises."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--iterations", "3", "--views", "2", "--size", "32", "--out", folder]
        command = [sys.executable, "-m", "patina3d.cli", "fit", "sphere", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        assert Path(folder, "fitted.obj").stat().st_size > 0


def installed(distribution: str) -> bool:
    """Whether a distribution is installed here."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> int:
    """Run all; one line each."""
    report = doctor()
    print(f"python {report['python']}, torch {report['torch']}, patina3d {report['patina3d']}")
    print(report["gpu"])
    tries: list[Callable[[str], None]] = [try_knn, try_rasterize_meshes]
    tries += [try_fit] if installed("patina3d") else []
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for attempt in tries:
            torch.manual_seed(0)
            attempt(device)
            print(f"{attempt.__name__} on {device}: as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
