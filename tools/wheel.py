# SPDX-License-Identifier: Apache-2.0
"""Build the release wheels of all packages into dist/.

The native module is built with zig's linker against an old glibc, without the emulator, so that one wheel runs on every
Linux that torch runs on. The Python packages are pure.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
COMPATIBILITY = "manylinux_2_17"


@contextmanager
def licence(package: Path) -> Iterator[None]:
    """The licence, in the package's own folder while it is built: a wheel may take files from nowhere else."""
    copy = package / "LICENSE"
    shutil.copy(ROOT / "LICENSE", copy)
    try:
        yield
    finally:
        copy.unlink()


def build(package: Path) -> None:
    """Build the wheel of one package."""
    command = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(DIST), str(package)]
    if package.name == "core":
        command = ["maturin", "build", "--profile", "dist", "--out", str(DIST)]
        if sys.platform == "linux":
            command += ["--zig", "--compatibility", COMPATIBILITY]
    with licence(package):
        subprocess.run(command, cwd=package, check=True)


def main() -> int:
    """Build all; list the wheels with their hashes."""
    shutil.rmtree(DIST, ignore_errors=True)
    for package in sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")):
        build(package)
    for wheel in sorted(DIST.glob("*.whl")):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        print(f"{digest}  {wheel.stat().st_size / 2**20:6.2f} MiB  {wheel.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
