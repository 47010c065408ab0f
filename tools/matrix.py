# SPDX-License-Identifier: Apache-2.0
"""Install the built wheels beside several versions of torch and try them there.

    matrix.py                  every version below, and the newest
    matrix.py --torch 2.4.1    this one

The wheels in dist/ are the same files each time; their hashes are shown. Also asserts that the native module links
neither torch nor CUDA, and that `patina3d-ops` alone brings no more than it needs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NEWEST = "newest"
# The oldest that is supported; one between; the first with DLPack's exchange API; what a new user gets.
TORCH = ["2.4.1", "2.7.1", "2.10.0", NEWEST]
# All that a module for every Linux may link.
SYSTEM = r"libc\.so|libm\.so|libgcc_s\.so|libpthread\.so|libdl\.so|librt\.so|libutil\.so|ld-linux"

CLOSURE = """
from importlib.metadata import distributions, requires
import re
def name(requirement): return re.match(r"[\\w.-]+", requirement)[0].lower().replace("_", "-")
needed, queue = set(), ["torch", "numpy"]
installed = {name(d.metadata["Name"]) for d in distributions()}
while queue:
    if (one := queue.pop()) in installed - needed:
        needed.add(one)
        queue += [name(r) for r in requires(one) or []]
print(*sorted(installed - needed))
"""


def wheel(distribution: str) -> Path:
    """The one wheel of a distribution."""
    found = list(DIST.glob(f"{distribution.replace('-', '_')}-*.whl"))
    if len(found) != 1:
        sys.exit(f"dist/ must hold one wheel of {distribution}, has {len(found)}: run `just wheel`")
    return found[0]


def run(*command: str | Path, **environment: str) -> str:
    """Run a command and return what it prints; exit where it fails."""
    done = subprocess.run(
        command, env=os.environ | environment, check=False, text=True, capture_output=True, cwd=tempfile.gettempdir()
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_links() -> None:
    """The native module needs the C library and nothing of torch or CUDA."""
    with zipfile.ZipFile(wheel("patina3d-core")) as archive, tempfile.TemporaryDirectory() as folder:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        if len(names) != 1:
            sys.exit(f"the wheel must hold one native module, has {names}")
        dynamic = run("readelf", "-d", archive.extract(names[0], folder))
    linked = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    if strangers := [library for library in linked if not re.match(SYSTEM, library)]:
        sys.exit(f"{names[0]} must not link {', '.join(strangers)}")
    print(f"{names[0]} links {', '.join(linked)}")


def environment(folder: Path, *requirements: str | Path) -> Path:
    """A fresh environment with these installed; its Python."""
    run("uv", "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin/python"
    run("uv", "pip", "install", "--quiet", "--python", python, "--find-links", DIST, *requirements)
    return python


def check_ops_alone() -> None:
    """`patina3d-ops` brings core, structures, torch, numpy and what those need."""
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(folder), wheel("patina3d-ops"))
        extra = run(python, "-c", CLOSURE).split()
    wanted = ["patina3d-core", "patina3d-ops", "patina3d-structures"]
    if extra != wanted:
        sys.exit(f"patina3d-ops must bring {wanted} beside torch and numpy, brought {extra}")
    print(f"patina3d-ops brings {', '.join(extra)}, torch, numpy and what those need")


def check_beside(torch: str) -> None:
    """Everything, beside one torch: by DLPack's exchange API where torch has it, and by capsules."""
    wheels = sorted(DIST.glob("*.whl"))
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(folder), "torch" if torch == NEWEST else f"torch=={torch}", *wheels)
        for capsules in "01":
            said = run(python, ROOT / "tools/smoke.py", PATINA3D_DLPACK_CAPSULES=capsules)
            print(said if capsules == "0" else "the same by DLPack capsules", end="\n")


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", nargs="+", default=TORCH)
    versions = parser.parse_args().torch
    core = wheel("patina3d-core")
    print(f"{hashlib.sha256(core.read_bytes()).hexdigest()}  {core.name}")
    check_links()
    for version in versions:
        check_beside(version)
    check_ops_alone()
    return 0


if __name__ == "__main__":
    sys.exit(main())
