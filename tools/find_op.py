# SPDX-License-Identifier: Apache-2.0
"""Show where an operator lives, level by level, with a tick where the file is there.

    find_op.py knn

An operator is a folder under crates/{structures,ops,renderer}/src that holds a kernel. Its name is the folder's, on
every level.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("structures", "ops", "renderer")


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

    def rooms(self) -> list[Room]:
        """Every level, in reading order from Python to the kernel, then what surrounds it."""
        home, package, name = self._home(), self.package, self.name
        return [
            Room("page", ROOT / f"docs/{home}/{name}.md"),
            Room("Python", self.python()),
            Room("definition", self.reference()),
            Room("binding", ROOT / f"crates/python/src/{package}/{name}.rs"),
            Room("contract", self.native("mod.rs")),
            Room("CPU", self.native("cpu.rs")),
            Room("launcher", self.native("cuda.rs")),
            Room("shared struct", self.native(f"{name}.h")),
            Room("kernel", self.native(f"{name}.cu")),
            Room("PTX", self.native(f"{name}.ptx")),
            Room("test", ROOT / f"tests/{home}/test_{name}.py"),
            Room("bench", ROOT / f"benches/{home}/bench_{name}.py"),
        ]


def operators() -> list[Operator]:
    """Every operator of the project, by package and name."""
    return [
        Operator(package, folder.name)
        for package in PACKAGES
        for folder in sorted((ROOT / "crates" / package / "src").glob("*/"))
        if any(folder.glob("*.cu"))
    ]


def main() -> int:
    """Run the command line; return the exit status: 1 where a level is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    name = parser.parse_args().name
    found = {operator.name: operator for operator in operators()}
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
