# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of the pages into docs/images. What they show is asked of the library.

figures.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from patina3d.renderer import FoVPerspectiveCameras, look_at_view_transform
from patina3d.structures import Meshes

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"

INK, PALE, PADDING = "#2b2b2b", "#d9d9d9", "#f4f4f4"
MESHES = ("#4e79a7", "#f28e2b", "#59a14f")
X, Y, Z = "#c44e52", "#55a868", "#4c72b0"


def batching() -> Figure:
    """Three meshes of 3, 5 and 2 vertices in list, packed and padded form."""
    counts = (3, 5, 2)
    meshes = Meshes([torch.rand(count, 3) for count in counts], [torch.zeros(0, 3)] * 3)
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), width_ratios=(3, 3, 4.2))
    for ax, title in zip(axes, ("list", "packed", "padded"), strict=True):
        ax.set_title(title, family="monospace", fontsize=13, color=INK)
        ax.set_axis_off()
        ax.set_aspect("equal")
        ax.set_xlim(-0.9, 6.2)
        ax.set_ylim(-11.6, 0.6)

    ax = axes[0]
    top = 0.0
    for n, rows in enumerate(meshes.verts_list()):
        _rows(ax, 1.6, top, len(rows), MESHES[n])
        _note(ax, 1.3, top - len(rows) / 2, f"[{n}]", align="right")
        _note(ax, 4.9, top - len(rows) / 2, f"({len(rows)}, 3)")
        top -= len(rows) + 0.8

    ax = axes[1]
    for row, n in enumerate(meshes.verts_packed_to_mesh_idx().tolist()):
        _rows(ax, 1.6, -row, 1, MESHES[n])
    for n, first in enumerate(meshes.mesh_to_verts_packed_first_idx().tolist()):
        _note(ax, 1.3, -first - 0.5, f"{first}", align="right")
        ax.add_patch(FancyArrowPatch((1.35, -first - 0.5), (1.6, -first - 0.5), color=INK, lw=0.8))
        _note(ax, 4.9, -first - counts[n] / 2, f"mesh {n}")
    _note(ax, 3.1, -10.6, f"{tuple(meshes.verts_packed().shape)}", align="center")

    ax = axes[2]
    ax.set_xlim(-0.9, 11.6)
    padded = meshes.verts_padded()
    for n, count in enumerate(meshes.num_verts_per_mesh().tolist()):
        left = 0.2 + 3.7 * n
        _rows(ax, left, 0, count, MESHES[n])
        _rows(ax, left, -count, padded.shape[1] - count, PADDING, hatch="////")
        _note(ax, left + 1.5, 0.25, f"[{n}]", align="center")
    _note(ax, 5.4, -padded.shape[1] - 0.6, f"{tuple(padded.shape)}", align="center")
    _note(ax, 5.4, -padded.shape[1] - 1.8, "hatched rows are padding: they mean nothing", align="center", family=None)
    figure.tight_layout()
    return figure


def frames() -> Figure:
    """A camera in the world: both frames, as the camera's own transforms place them."""
    R, T = look_at_view_transform(dist=3.0, elev=15, azim=20)
    camera = FoVPerspectiveCameras(R=R, T=T, fov=40.0)
    world_from_view = camera.get_world_to_view_transform().inverse()
    figure = plt.figure(figsize=(6.8, 3.9))
    ax = figure.add_subplot(projection="3d")
    origin = torch.zeros(1, 3)
    _frame(ax, origin, torch.eye(3), "world", ("X right", "Y up", "Z to the viewer"))
    eye = world_from_view.transform_points(origin)
    tips = world_from_view.transform_points(0.9 * torch.eye(3))
    _frame(ax, eye, tips, "view", ("X left", "Y up", "Z into the scene"))
    # The camera's pyramid: the corners of NDC at one depth.
    square = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]])
    corners = camera.unproject_points(torch.cat([square, torch.full((5, 1), 1.5)], dim=1))
    _line(ax, corners, color=INK, lw=0.8)
    for corner in corners[:4]:
        _line(ax, torch.stack([eye[0], corner]), color=INK, lw=0.5, ls=":")
    ax.set_box_aspect((3.2, 2.0, 1.9), zoom=1.35)
    ax.set_xlim(-0.2, 3.0)
    ax.set_ylim(-0.1, 1.9)
    ax.set_zlim(-0.2, 1.7)
    ax.view_init(elev=24, azim=78)
    ax.set_axis_off()
    figure.subplots_adjust(-0.05, -0.2, 1.05, 1.15)
    return figure


def row_vectors() -> Figure:
    """The matrix of a transform: a point is a row on its left, the translation its last row."""
    R, T = look_at_view_transform(dist=2.0, elev=0, azim=90)
    matrix = FoVPerspectiveCameras(R=R, T=T).get_world_to_view_transform().get_matrix()[0]
    assert torch.equal(matrix[:3, :3], R[0])
    assert torch.equal(matrix[3, :3], T[0])
    figure, ax = plt.subplots(figsize=(6.4, 2.6))
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(-0.2, 15.2)
    ax.set_ylim(-4.9, 1.2)
    for column, entry in enumerate(("x", "y", "z", "1")):
        _cell(ax, column, -2, MESHES[0] if column < 3 else PALE, entry)
    for row in range(4):
        for column in range(4):
            color = PALE if column == 3 else MESHES[1] if row < 3 else MESHES[2]
            _cell(ax, 5 + column, -0.5 - row, color, f"{round(matrix[row, column].item(), 3) + 0.0:g}")
    for column, entry in enumerate(("x'", "y'", "z'", "1")):
        _cell(ax, 10.5 + column, -2, MESHES[0] if column < 3 else PALE, entry)
    for place, sign in ((4.5, "×"), (9.75, "=")):
        _note(ax, place, -2.5, sign, align="center", size=14)
    _note(ax, 2, -0.9, "x_world", align="center")
    _note(ax, 12.5, -0.9, "x_view", align="center")
    _note(ax, 6.5, 0.1, "R", align="center")
    _note(ax, 4.6, -4, "T", align="right")
    return figure


def ndc_screen() -> Figure:
    """An image of 3 x 5 pixels, its pixel centres in screen coordinates and in NDC."""
    height, width = 3, 5
    camera = FoVPerspectiveCameras()
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = torch.stack([columns + 0.5, rows + 0.5], dim=-1).reshape(-1, 2)
    half, size = min(height, width) / 2, torch.tensor([width, height])
    ndc = (size / 2 - centres) / half
    points = camera.unproject_points(torch.cat([ndc, torch.full((len(ndc), 1), 2.0)], dim=1))
    screen = camera.transform_points_screen(points, image_size=(height, width))[:, :2]
    assert torch.allclose(screen, centres, atol=1e-5)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for ax, title in zip(axes, ("screen, in pixels", "NDC"), strict=True):
        ax.set_title(title, fontsize=12, color=INK)
        ax.set_axis_off()
        ax.set_aspect("equal")
        ax.set_xlim(-1.0, width + 0.9)
        ax.set_ylim(height + 0.9, -0.6)
        for x, y in centres.tolist():
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc="white", ec=PALE))
            ax.plot(x, y, "o", ms=2.5, color=INK)
        ax.add_patch(Rectangle((0, 0), width, height, fill=False, ec=INK))
    for place, (x, y) in zip(centres.tolist(), screen.tolist(), strict=True):
        _label(axes[0], place, f"{x:.1f}, {y:.1f}")
    for place, (x, y) in zip(centres.tolist(), ndc.tolist(), strict=True):
        _label(axes[1], place, f"{x:.2f}, {y:.2f}".replace("-0.00", "0.00"))
    _arrow(axes[0], (0, 0), (1.6, 0), X, "+X", (1.75, -0.2))
    _arrow(axes[0], (0, 0), (0, 1.6), Y, "+Y", (-0.35, 1.75))
    middle = (width / 2, height / 2)
    _arrow(axes[1], middle, (middle[0] - half, middle[1]), X, "+X = 1", (middle[0] - half - 0.45, middle[1] - 0.2))
    _arrow(axes[1], middle, (middle[0], 0), Y, "+Y = 1", (middle[0] + 0.45, -0.2))
    _note(axes[0], width / 2, height + 0.5, f"H = {height}, W = {width}", align="center")
    edge = width / height
    _note(axes[1], 0, height + 0.5, f"x = {edge:.2f}", align="center")
    _note(axes[1], width, height + 0.5, f"x = -{edge:.2f}", align="center")
    figure.tight_layout()
    return figure


FIGURES = {"batching": batching, "frames": frames, "row_vectors": row_vectors, "ndc_screen": ndc_screen}


def _rows(ax: Axes, left: float, top: float, count: int, color: str, *, hatch: str | None = None) -> None:
    for row in range(count):
        for column in range(3):
            ax.add_patch(
                Rectangle(
                    (left + column, top - row - 1), 1, 1, fc=color, ec="white" if not hatch else PALE, hatch=hatch
                )
            )


def _cell(ax: Axes, x: float, y: float, color: str, text: str) -> None:
    ax.add_patch(Rectangle((x, y - 1), 1, 1, fc=color, ec="white"))
    ax.text(x + 0.5, y - 0.5, text, ha="center", va="center", fontsize=11, color="white" if color != PALE else INK)


def _note(
    ax: Axes, x: float, y: float, text: str, *, align: str = "left", size: float = 9, family: str | None = "monospace"
) -> None:
    ax.text(x, y, text, ha=align, va="center", fontsize=size, color=INK, family=family)


def _label(ax: Axes, place: list[float], text: str) -> None:
    ax.text(place[0], place[1] + 0.25, text, ha="center", va="center", fontsize=6, color=INK)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str, text: str, at: tuple[float, float]
) -> None:
    ax.add_patch(
        FancyArrowPatch(start, end, color=color, lw=2, arrowstyle="-|>", mutation_scale=12, shrinkA=0, shrinkB=0)
    )
    ax.text(*at, text, ha="center", va="center", fontsize=9, color=color)


def _line(ax: Axes, points: torch.Tensor, **style: object) -> None:
    """Through points whose +Y is up: matplotlib's up is its third axis."""
    x, y, z = points.T
    ax.plot(z, x, y, clip_on=False, **style)


def _frame(ax: Axes, origin: torch.Tensor, tips: torch.Tensor, name: str, axes: tuple[str, ...]) -> None:
    for tip, text, color in zip(tips, axes, (X, Y, Z), strict=True):
        _line(ax, torch.stack([origin[0], tip]), color=color, lw=2.2)
        x, y, z = (origin[0] + 1.15 * (tip - origin[0])).tolist()
        ax.text(z, x, y, text, color=color, fontsize=9, ha="center", va="bottom")
    x, y, z = origin[0].tolist()
    ax.text(z, x, y - 0.15, name, color=INK, fontsize=11, ha="right", va="top", weight="bold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=IMAGES)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        path = folder / f"{name}.png"
        draw().savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
        print(path)


if __name__ == "__main__":
    main()
