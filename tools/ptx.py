# SPDX-License-Identifier: Apache-2.0
"""Compile every CUDA kernel to the PTX that stands beside it, and tell what the GPU assemblers make of it.

    ptx.py                 write `<stem>.ptx` beside each `crates/*/src/**/<stem>.cu`
    ptx.py --table         the same, then write docs/ptx-resources.md: registers, spills, shared memory of each kernel
    ptx.py --check         write nothing; fail where a committed file differs from what would be written

NVRTC 11.8 is the compiler because every driver since R520 loads the PTX it writes. Sources and headers reach it by
name, never by path, so the PTX is the same bytes on every machine. Kernels are compiled with `-fmad=false`: they spell
`fmaf` where they want one rounding, so that the GPU, the emulator and the CPU path round alike.
"""

from __future__ import annotations

import argparse
import ctypes
import locale
import re
import site
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SHARED_HEADERS = ROOT / "crates/core/src"
TABLE = ROOT / "docs/ptx-resources.md"
OPTIONS = ("-arch=compute_70", "-std=c++17", "-fmad=false", "-default-device")
PTX_VERSION, PTX_TARGET = "7.8", "sm_70"
# The two assemblers, where their wheels put them, and the architectures that each must take the PTX for.
ASSEMBLERS = {
    "cuda_nvcc/bin/ptxas": ("70", "75", "80", "86", "89", "90"),
    "cu13/bin/ptxas": ("75", "80", "86", "89", "90", "100", "120"),
}
NVRTC = "cuda_nvrtc/lib/libnvrtc.so.11.2"


class CompileError(Exception):
    """A kernel that does not compile, with the compiler's own words."""


class Resources(NamedTuple):
    """What one kernel costs on one architecture."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int


def sources() -> list[Path]:
    """Every kernel file of the product, in a fixed order."""
    return sorted(ROOT.glob("crates/*/src/**/*.cu"))


def wheel_file(relative: str) -> Path | None:
    """A file of one of NVIDIA's wheels in this Python's site-packages, or None where the wheel is not installed."""
    found = (Path(folder, "nvidia", relative) for folder in site.getsitepackages())
    return next((path for path in found if path.is_file()), None)


def headers_of(source: Path) -> dict[str, bytes]:
    """The text of every header that a file includes, directly or not, by the name it is included under."""
    found: dict[str, Path] = {}

    def visit(file: Path) -> None:
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read_text(), flags=re.MULTILINE):
            if name == "emulator.h":
                continue
            candidates = (folder / name for folder in (file.parent, source.parent, SHARED_HEADERS))
            header = next((path.resolve() for path in candidates if path.is_file()), None)
            if header is None:
                raise CompileError(f"{file}: no header {name} beside it or in {SHARED_HEADERS}")
            if name not in found:
                found[name] = header
                visit(header)
            elif found[name] != header:
                raise CompileError(f"{source}: the name {name} means both {found[name]} and {header}")

    visit(source)
    return {name: path.read_bytes() for name, path in sorted(found.items())}


class Compiler:
    """NVRTC, from the wheel nvidia-cuda-nvrtc-cu11."""

    def __init__(self) -> None:
        library = wheel_file(NVRTC)
        if library is None:
            raise FileNotFoundError(f"nvidia/{NVRTC} is not in this Python: install the dependency group `ptx`")
        # NVRTC finds its builtins by name, in what is already loaded.
        ctypes.CDLL(str(library.with_name("libnvrtc-builtins.so.11.8")), mode=ctypes.RTLD_GLOBAL)
        self._nvrtc = ctypes.CDLL(str(library))
        self._nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def _call(self, name: str, *arguments: object) -> None:
        if status := getattr(self._nvrtc, name)(*arguments):
            raise CompileError(f"{name}: {self._nvrtc.nvrtcGetErrorString(status).decode()}")

    def _text(self, program: ctypes.c_void_p, kind: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{kind}", program, text)
        return text.value

    def ptx(self, source: Path) -> bytes:
        """The PTX of one `.cu`, with a header that says where it comes from."""
        headers = headers_of(source)
        names = (ctypes.c_char_p * len(headers))(*(name.encode() for name in headers))
        texts = (ctypes.c_char_p * len(headers))(*headers.values())
        options = (ctypes.c_char_p * len(OPTIONS))(*(option.encode() for option in OPTIONS))
        program = ctypes.c_void_p()
        text, name = source.read_bytes(), source.name.encode()
        self._call("nvrtcCreateProgram", ctypes.byref(program), text, name, len(headers), texts, names)
        # NVRTC leaves the process in the locale C, in which Python cannot read UTF-8 by default.
        before = locale.setlocale(locale.LC_ALL)
        try:
            try:
                self._call("nvrtcCompileProgram", program, len(options), options)
            except CompileError as error:
                log = self._text(program, "ProgramLog").decode()
                raise CompileError(f"{source}: {error}\n{log}") from None
            body = self._text(program, "PTX")
        finally:
            locale.setlocale(locale.LC_ALL, before)
            self._call("nvrtcDestroyProgram", ctypes.byref(program))
        for directive in (f".version {PTX_VERSION}", f".target {PTX_TARGET}"):
            if directive.encode() not in body.splitlines():
                raise CompileError(f"{source}: the PTX lacks `{directive}`, so older drivers may refuse it")
        header = f"// SPDX-License-Identifier: Apache-2.0\n// Written by tools/ptx.py from {source.name}.\n"
        return header.encode() + body.strip() + b"\n"


class Assembler(NamedTuple):
    """One ptxas and the architectures it must assemble for."""

    path: Path
    release: str
    architectures: tuple[str, ...]

    @classmethod
    def find(cls, relative: str) -> Assembler:
        path = wheel_file(relative)
        if path is None:
            raise FileNotFoundError(f"nvidia/{relative} is not in this Python: install the dependency group `ptx`")
        release = re.search(r"release ([\d.]+)", _output([str(path), "--version"]))
        if release is None:
            raise CompileError(f"{path} does not tell its release")
        return cls(path, release[1], ASSEMBLERS[relative])

    def assemble(self, ptx: bytes, arch: str) -> dict[str, Resources]:
        """Resources of each kernel of a module on one architecture, by kernel."""
        with tempfile.TemporaryDirectory() as folder:
            (file := Path(folder, "module.ptx")).write_bytes(ptx)
            command = [str(self.path), f"-arch=sm_{arch}", "-v", str(file), "-o", f"{folder}/module.cubin"]
            return resources(_output(command))


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def resources(log: str) -> dict[str, Resources]:
    """Read what `ptxas -v` says of each kernel."""
    found = {}
    for entry in log.split("Compiling entry function '")[1:]:

        def number(pattern: str, entry: str = entry) -> int:
            match = re.search(pattern, entry)
            return int(match[1]) if match else 0

        found[entry.split("'")[0]] = Resources(
            registers=number(r"Used (\d+) registers"),
            stack=number(r"(\d+) bytes stack frame"),
            spill_stores=number(r"(\d+) bytes spill stores"),
            spill_loads=number(r"(\d+) bytes spill loads"),
            shared=number(r"(\d+) bytes smem"),
        )
    return found


def table(modules: dict[Path, bytes]) -> str:
    """The page of resources: a table for each assembler, a row for each kernel."""
    assemblers = [Assembler.find(relative) for relative in ASSEMBLERS]
    tasks = [(tool, path, arch) for tool in assemblers for path in modules for arch in tool.architectures]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda task: task[0].assemble(modules[task[1]], task[2]), tasks))
    measured = dict(zip(tasks, answers, strict=True))

    lines = [
        "# What the kernels cost",
        "",
        "Written by `tools/ptx.py --table` from the committed PTX. A cell is the registers of a thread on that",
        "architecture; `s` follows where registers spill (bytes stored/loaded), `l` where a thread keeps anything in",
        "local memory (bytes of its stack frame, spills included).",
    ]
    for tool in assemblers:
        columns = " | ".join(f"sm_{arch}" for arch in tool.architectures)
        lines += ["", f"## ptxas {tool.release}", ""]
        lines += [f"| kernel | shared, bytes | {columns} |", "|---|" + "---:|" * (1 + len(tool.architectures))]
        for path in modules:
            rows = [measured[tool, path, arch] for arch in tool.architectures]
            for kernel in sorted(rows[0]):
                cells = " | ".join(_cell(row[kernel]) for row in rows)
                lines.append(f"| {kernel} | {rows[0][kernel].shared} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(cost: Resources) -> str:
    spills = f" s{cost.spill_stores}/{cost.spill_loads}" if cost.spill_stores or cost.spill_loads else ""
    return f"{cost.registers}{spills}" + (f" l{cost.stack}" if cost.stack else "")


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a committed file is stale")
    parser.add_argument("--table", action="store_true", help="write docs/ptx-resources.md too")
    parser.add_argument("stems", nargs="*", help="only these kernels files, by stem: knn rasterize_meshes")
    arguments = parser.parse_args()
    if arguments.table and arguments.stems:
        parser.error("the table covers every kernel: give no stems with --table")

    chosen = [path for path in sources() if not arguments.stems or path.stem in arguments.stems]
    if unknown := set(arguments.stems) - {path.stem for path in chosen}:
        parser.error(f"no kernel file is named {', '.join(sorted(unknown))}")
    try:
        compiler = Compiler()
        modules = {source: compiler.ptx(source) for source in chosen}
        wanted = {source.with_suffix(".ptx"): ptx for source, ptx in modules.items()}
        if arguments.table or (arguments.check and not arguments.stems):
            wanted[TABLE] = table(modules).encode()
    except (CompileError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1

    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    if not arguments.stems:
        orphans = set(ROOT.glob("crates/*/src/**/*.ptx")) - wanted.keys()
        stale += sorted(orphans) if arguments.check else []
    for path in stale:
        print(f"{'stale' if arguments.check else 'wrote'} {path.relative_to(ROOT)}")
        if not arguments.check:
            path.write_bytes(wanted[path])
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
