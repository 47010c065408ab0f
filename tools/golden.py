# SPDX-License-Identifier: Apache-2.0
"""Render the golden pictures anew and show what changed.

    golden.py            write out/golden/<picture>: the accepted one, the new one, and their difference, side by side
    golden.py --accept   make the new ones the accepted ones

The pictures are those of the tests whose names contain `golden`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio.v3 as iio
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out/golden"


def render(folder: Path) -> list[Path]:
    """Write every picture below a folder, under its path in the repository; return those paths."""
    environment = os.environ | {"PATINA3D_GOLDEN": str(folder)}
    subprocess.run([sys.executable, "-m", "pytest", "-k", "golden"], cwd=ROOT, env=environment, check=True)
    return sorted(path.relative_to(folder) for path in folder.rglob("*.png"))


def compare(accepted: np.ndarray | None, new: np.ndarray) -> tuple[np.ndarray, str]:
    """The pictures side by side, and what to say of them."""
    if accepted is None:
        return new, "is new"
    if accepted.shape != new.shape:
        return new, f"was {accepted.shape}, is {new.shape}"
    gap = np.abs(accepted.astype(int) - new.astype(int))
    many, most = int((gap.max(-1) > 0).sum()), int(gap.max())
    bright = np.minimum(8 * gap, 255).astype(np.uint8)
    return np.concatenate([accepted, new, bright], axis=1), f"differs in {many} pixels, by up to {most} of 255"


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="make the new pictures the accepted ones")
    accept = parser.parse_args().accept
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pictures = render(Path(folder))
        for picture in pictures:
            accepted = iio.imread(ROOT / picture) if (ROOT / picture).is_file() else None
            new = iio.imread(Path(folder) / picture)
            if accepted is not None and np.array_equal(accepted, new):
                continue
            beside, what = compare(accepted, new)
            (OUT / picture).parent.mkdir(parents=True, exist_ok=True)
            iio.imwrite(OUT / picture, beside)
            print(f"{picture} {what}: see {(OUT / picture).relative_to(ROOT)}")
            if accept:
                (ROOT / picture).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(folder) / picture, ROOT / picture)
    stale = {path.relative_to(ROOT) for path in ROOT.glob("tests/**/golden/*.png")} - set(pictures)
    for picture in sorted(stale):
        print(f"{picture} belongs to no test" + (": removed" if accept else ""))
        if accept:
            (ROOT / picture).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
