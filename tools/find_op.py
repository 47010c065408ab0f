# SPDX-License-Identifier: Apache-2.0
"""Show where an operator lives, level by level, with a tick where the file is there.

    find_op.py knn

An operator is a folder under crates/{structures,ops,renderer}/src that holds a kernel. Its name is the folder's, on
every level. A folder under crates/core/src that holds a kernel is machinery which operators share: it has the same
files there, and no rooms in Python.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("structures", "ops", "renderer")
MACHINERY = "core"


class Room(NamedTuple):
    """One level of an operator: what it is, and the file."""

    level: str
    path: Path

    @property
    def exists(self) -> bool:
        return self.path.is_file()


class Operator(NamedTuple):
    """An operator by package and name."""

    package: str
    name: str

    @property
    def params(self) -> str:
        """The name of the struct that both languages share."""
        return "".join(word.capitalize() for word in self.name.split("_")) + "Params"

    def native(self, file: str) -> Path:
        """A file in the operator's folder of Rust and CUDA."""
        return ROOT / "crates" / self.package / "src" / self.name / file

    def _sources(self) -> list[Path]:
        """Where its Python may lie: a package to the left may need it first, and its own then hands the name on."""
        packages = PACKAGES[: PACKAGES.index(self.package) + 1]
        return [ROOT / "packages" / package / "src/patina3d" for package in packages]

    def python(self) -> Path:
        """The Python module that registers it: it may lie in a subpackage, where PyTorch3D has it."""
        files = (path for source in self._sources() for path in sorted(source.rglob(f"{self.name}.py")))
        found = (path for path in files if path.parent.name != "_reference")
        return next(found, self._sources()[-1] / self.package / f"{self.name}.py")

    def reference(self) -> Path:
        """The definition; beside the subpackage it serves or the package's own."""
        found = (path for source in self._sources() for path in sorted(source.rglob(f"_reference/{self.name}.py")))
        return next(found, self._sources()[-1] / self.package / f"_reference/{self.name}.py")

    def _home(self) -> str:
        """The folder of its page, test and bench: `loss` where users find it in `patina3d.loss`."""
        own = ROOT / "packages" / self.package / "src/patina3d"
        python = self.python()
        return python.relative_to(own).parts[0] if python.is_relative_to(own) else self.package

    def _native_rooms(self) -> list[Room]:
        return [
            Room("contract", self.native("mod.rs")),
            Room("CPU", self.native("cpu.rs")),
            Room("launcher", self.native("cuda.rs")),
            Room("shared struct", self.native(f"{self.name}.h")),
            Room("kernel", self.native(f"{self.name}.cu")),
            Room("PTX", self.native(f"{self.name}.ptx")),
        ]

    def rooms(self) -> list[Room]:
        """Every level, in reading order from Python to the kernel, then what surrounds it."""
        package, name = self.package, self.name
        if package == MACHINERY:
            return [*self._native_rooms(), Room("test", ROOT / f"crates/emulator/tests/{name}.rs")]
        home = self._home()
        return [
            Room("page", ROOT / f"docs/{home}/{name}.md"),
            Room("Python", self.python()),
            Room("definition", self.reference()),
            Room("binding", ROOT / f"crates/python/src/{package}/{name}.rs"),
            *self._native_rooms(),
            Room("test", ROOT / f"tests/{home}/test_{name}.py"),
            Room("bench", ROOT / f"benches/{home}/bench_{name}.py"),
        ]


def operators() -> list[Operator]:
    """Every operator of the project, by package and name."""
    return _with_kernels(PACKAGES)


def machinery() -> list[Operator]:
    """What the operators share, by the same shape."""
    return _with_kernels([MACHINERY])


def _with_kernels(packages: Iterable[str]) -> list[Operator]:
    return [
        Operator(package, folder.name)
        for package in packages
        for folder in sorted((ROOT / "crates" / package / "src").glob("*/"))
        if any(folder.glob("*.cu"))
    ]


def main() -> int:
    """Run the command line; return the exit status: 1 where a level is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    name = parser.parse_args().name
    found = {operator.name: operator for operator in [*operators(), *machinery()]}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(found)}"
        print(f"no operator is named {name}; {hint}", file=sys.stderr)
        return 1
    rooms = found[name].rooms()
    for room in rooms:
        print(f"{'✓' if room.exists else '✗'} {room.level:<14}{room.path.relative_to(ROOT)}")
    return 0 if all(room.exists for room in rooms) else 1


if __name__ == "__main__":
    sys.exit(main())
