# SPDX-License-Identifier: Apache-2.0
"""Scaffold an operator on every level.

    new_op.py ops/ball_query

What it writes works (it squares numbers) and passes its tests, but for those that say what to write instead.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from find_op import PACKAGES, ROOT, Operator, operators

TEMPLATES = Path(__file__).resolve().parent / "operator_template"


def files(operator: Operator) -> dict[str, Path]:
    """Where each template goes."""
    rooms = {room.level: room.path for room in operator.rooms()}
    return {
        "page.md.in": rooms["page"],
        "module.py.in": rooms["Python"],
        "reference.py.in": rooms["definition"],
        "binding.rs": rooms["binding"],
        "mod.rs": rooms["contract"],
        "cpu.rs": rooms["CPU"],
        "cuda.rs": rooms["launcher"],
        "params.h": rooms["shared struct"],
        "kernel.cu": rooms["kernel"],
        "test.py.in": rooms["test"],
        "bench.py.in": rooms["bench"],
        "layout.rs": ROOT / f"crates/emulator/tests/{operator.name}.rs",
    }


def fill(text: str, operator: Operator) -> str:
    """A template with the operator's names in it."""
    for placeholder, value in {
        "__reference_module__": _dotted(operator.reference()),
        "__reference__": operator.reference().relative_to(ROOT).as_posix(),
        "__module__": _dotted(operator.python()),
        "__package__": operator.package,
        "__op__": operator.name,
        "__Op__": operator.params.removesuffix("Params"),
    }.items():
        text = text.replace(placeholder, value)
    return text


def _dotted(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts[3:])


def insert_line(path: Path, line: str, among: str) -> None:
    """Insert a line among those that match a pattern, in alphabetical order; before the first `use` where none does."""
    lines = path.read_text(encoding="utf-8").splitlines()
    matching = [number for number, text in enumerate(lines) if re.match(among, text)]
    after = [number for number in matching if lines[number] < line]
    if not matching:
        first = next(number for number, text in enumerate(lines) if text.startswith("use "))
        lines[first:first] = [line, ""]
    else:
        lines.insert(after[-1] + 1 if after else matching[0], line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def register(operator: Operator) -> list[Path]:
    """Make the operator known to its crate, the native module and the emulator's tests; return the files changed."""
    package, name = operator
    library = ROOT / f"crates/{package}/src/lib.rs"
    bindings = ROOT / f"crates/python/src/{package}/mod.rs"
    device = ROOT / "crates/python/src/device.rs"
    emulator = ROOT / "crates/emulator/Cargo.toml"

    insert_line(library, f"pub mod {name};", r"pub mod ")
    insert_line(bindings, f"mod {name};", r"mod ")
    export = f"    #[pymodule_export]\n    use super::{name}::{{{name}_backward, {name}_forward}};\n}}\n"
    text = bindings.read_text(encoding="utf-8")
    bindings.write_text(re.sub(r"\}\s*\Z", lambda _: export, text), encoding="utf-8")
    listed = re.sub(
        r"(const MODULES: [^=]*= &\[)([^\]]*?),?\s*\]",
        lambda match: f"{match[1]}{match[2]}, &patina3d_{package}::{name}::MODULE]",
        device.read_text(encoding="utf-8"),
    )
    device.write_text(listed, encoding="utf-8")
    changed = [library, bindings, device]

    dependency = f"patina3d-{package}.workspace = true\n"
    text = emulator.read_text(encoding="utf-8")
    if dependency not in text.split("[dev-dependencies]")[1]:
        text = text.replace("[dev-dependencies]\n", f"[dev-dependencies]\n{dependency}")
        emulator.write_text(text, encoding="utf-8")
        changed.append(emulator)
    return changed


def tidy(paths: list[Path]) -> None:
    """Format, where the formatters are installed: names differ in length, and lines with them."""
    for suffix, formatter in {".rs": ["rustfmt", "--edition", "2024"], ".py": ["ruff", "format", "--quiet"]}.items():
        if shutil.which(formatter[0]):
            subprocess.run([*formatter, *(path for path in paths if path.suffix == suffix)], check=True, cwd=ROOT)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operator", metavar="PACKAGE/NAME")
    argument = parser.parse_args().operator
    packages = [package for package in PACKAGES if (ROOT / f"crates/{package}/src/lib.rs").exists()]
    package, _, name = argument.partition("/")
    if package not in packages or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        known = ", ".join(packages)
        parser.error(f"expected PACKAGE/NAME, PACKAGE one of {known}, NAME in snake_case, got {argument}")
    if any(operator.name == name for operator in operators()):
        parser.error(f"there is an operator {name}: `just op {name}` shows where")
    operator = Operator(package, name)
    wanted = files(operator)
    if taken := [path for path in wanted.values() if path.exists()]:
        parser.error(f"there is already {', '.join(str(path.relative_to(ROOT)) for path in taken)}")

    for template, path in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        path.write_text(fill(text, operator), encoding="utf-8")
    changed = register(operator)
    subprocess.run([sys.executable, ROOT / "tools/ptx.py", name], check=True)
    tidy([*wanted.values(), *changed])
    for path in changed:
        print(f"changed {path.relative_to(ROOT)}")
    print(f"next: `just build`, then `just test {name}` says what to write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
