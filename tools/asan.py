# SPDX-License-Identifier: Apache-2.0
"""Run the emulated kernels under the address and undefined-behaviour sanitizers.

    asan.py                    the emulator's own tests, then every Python test marked `emulated`
    asan.py tests/ops -k knn   the emulator's own tests, then pytest with these arguments

The C++ of the emulator is compiled with `-fsanitize=address,undefined,float-cast-overflow` into target/asan; a report
names the line of the kernel. Needs g++ with its sanitizers' libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target/asan"
# A copy of patina3d.core that holds the sanitized native module; first on the path, it stands for the installed one.
SHADOW = ROOT / "asan"


def run(*command: str, **environment: str) -> None:
    """Run a command in the root; exit as it does where it fails."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def preload() -> str:
    """What a process must load first: the sanitizer, then the C++ library whose exceptions it watches."""
    compiler, paths = os.environ.get("CXX", "g++"), []
    for library in ("libasan.so", "libstdc++.so"):
        command = [compiler, f"-print-file-name={library}"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(path).is_absolute():
            sys.exit(f"{compiler} has no {library}: install g++ with its sanitizers' libraries")
        paths.append(path)
    return ":".join(paths)


def main() -> None:
    """Build, then test."""
    build = {"PATINA3D_EMULATOR_SANITIZE": "1", "CARGO_TARGET_DIR": str(TARGET)}
    options = {"ASAN_OPTIONS": "detect_stack_use_after_return=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    # Cargo and rustc run as they are; the programs that they built load the sanitizer first.
    host = next(
        line.split()[1]
        for line in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
        if line.startswith("host:")
    )
    runner = f"CARGO_TARGET_{host.upper().replace('-', '_')}_RUNNER"
    run("cargo", "test", "-p", "patina3d-emulator", **build, **options, **{runner: f"env LD_PRELOAD={preload()}"})

    run("cargo", "build", "-p", "patina3d-python", "--features", "emulator", **build)
    core = SHADOW / "patina3d/core"
    shutil.rmtree(SHADOW, ignore_errors=True)
    shutil.copytree(ROOT / "packages/core/src/patina3d/core", core, ignore=shutil.ignore_patterns("*.so"))
    shutil.copyfile(TARGET / "debug/lib_native.so", core / "_native.abi3.so")
    # Python and torch keep memory until the process ends.
    options["ASAN_OPTIONS"] += ":detect_leaks=0"
    arguments = sys.argv[1:] or ["-m", "emulated"]
    # A report goes to standard error as the process dies: nothing may capture it.
    python = [sys.executable, "-m", "pytest", "--capture=no", *arguments]
    run(*python, LD_PRELOAD=preload(), PYTHONPATH=str(SHADOW), PATINA3D_EMULATE_CUDA="1", **options)


if __name__ == "__main__":
    main()
