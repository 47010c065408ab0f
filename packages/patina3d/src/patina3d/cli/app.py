# SPDX-License-Identifier: Apache-2.0
"""The commands and their options."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from patina3d.cli.errors import UserError

app = typer.Typer(
    name="patina3d",
    help="Differentiable 3D for PyTorch: fit a mesh to pictures, render a mesh, look at the machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Target = Annotated[str, typer.Argument(help="A mesh file (.obj, .ply), or blob, sphere, star, torus, vase.")]
_DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:i.")]


@app.command()
def fit(
    target: _Target = "blob",
    *,
    views: Annotated[int, typer.Option(min=1, help="Pictures of the target.")] = 20,
    size: Annotated[int, typer.Option(min=8, help="Width and height of a picture in pixels.")] = 128,
    iterations: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 600,
    device: _DeviceOption = "auto",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    seed: Annotated[
        int, typer.Option(min=0, max=2**31, help="Fixes the order of views and the samples of the metrics.")
    ] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted fit.")] = False,
) -> None:
    """Recover a mesh from silhouettes and shaded pictures of TARGET, starting from a sphere."""
    from patina3d.cli.fit import FitOptions, run_fit

    run_fit(FitOptions(target, views, size, iterations, device, out, seed, resume))


@app.command()
def render(
    mesh: _Target,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path("picture.png"),
    size: Annotated[int, typer.Option(min=8, help="Width and height in pixels.")] = 512,
    elevation: Annotated[float, typer.Option(help="Of the camera, in degrees.")] = 20.0,
    azimuth: Annotated[float, typer.Option(help="Of the camera, in degrees.")] = 30.0,
    device: _DeviceOption = "auto",
) -> None:
    """Render MESH to a picture."""
    from patina3d.cli.render import run_render

    run_render(mesh, output, size, elevation, azimuth, device)


@app.command()
def doctor() -> None:
    """Say what Patina3D runs on here, and when the GPU cannot be used, why."""
    from patina3d.cli.doctor import run_doctor

    run_doctor()


def main() -> None:
    """Run the command line; what the user got wrong ends in one sentence and exit code 2."""
    try:
        app()
    except UserError as error:
        Console(stderr=True).print(f"patina3d: {error}", style="red", highlight=False, soft_wrap=True, markup=False)
        raise SystemExit(2) from None
