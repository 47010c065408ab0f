# SPDX-License-Identifier: Apache-2.0
"""The committed PTX is what the kernels compile to, and the tool that writes it says what is wrong."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "crates/emulator/tests/kernels"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ptx = load("ptx")
needs_nvrtc = pytest.mark.skipif(
    ptx.wheel_file(ptx.NVRTC) is None, reason="needs the dependency group `ptx` (NVRTC 11.8 and ptxas; Linux, x86-64)"
)


@pytest.fixture(scope="module")
def compiler():
    return ptx.Compiler()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace of one small kernel, where the tool may write."""
    folder = tmp_path / "crates/ops/src/scale"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (folder / "scale.h").write_text(
        '#pragma once\n#include "cuda.cuh"\nstruct ScaleParams {\n    float* values;\n    float factor;\n};\n'
        "PATINA3D_LAYOUT(ScaleParams, values, factor)\n"
    )
    (folder / "scale.cu").write_text(
        '#include "scale.h"\nextern "C" __global__ void scale_forward_f32(const ScaleParams p) {\n'
        "    p.values[threadIdx.x] = p.values[threadIdx.x] * p.factor + 1.0f;\n}\n"
    )
    monkeypatch.setattr(ptx, "ROOT", tmp_path)
    monkeypatch.setattr(ptx, "TABLE", tmp_path / "docs/ptx-resources.md")
    return folder


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ptx.py", *arguments])
    return ptx.main()


@needs_nvrtc
@pytest.mark.parametrize("source", ptx.sources(), ids=lambda path: path.stem)
def test_committed_ptx_is_what_the_kernel_compiles_to(compiler, source):
    committed = source.with_suffix(".ptx")
    assert committed.is_file(), f"run tools/ptx.py: {committed.relative_to(ROOT)} is missing"
    assert committed.read_bytes() == compiler.ptx(source), f"run tools/ptx.py: {committed.relative_to(ROOT)} is stale"


@pytest.mark.parametrize("source", ptx.sources(), ids=lambda path: path.stem)
def test_committed_ptx_suits_old_drivers_and_names_no_machine(source):
    text = source.with_suffix(".ptx").read_text()
    assert re.search(r"^\.version 7\.8$", text, flags=re.MULTILINE)
    assert re.search(r"^\.target sm_70$", text, flags=re.MULTILINE)
    assert not re.search(r"/(home|work|tmp|root|Users)/", text)
    kernels = re.findall(r'extern "C" __global__', source.read_text())
    assert len(re.findall(r"^\.visible \.entry ", text, flags=re.MULTILINE)) >= len(kernels)


BOUNDED = [path for path in ptx.sources() if "__launch_bounds__" in path.read_text()]


@pytest.mark.parametrize("source", BOUNDED, ids=lambda path: path.stem)
def test_kernels_are_compiled_for_the_block_that_is_launched(source):
    bounds = re.findall(r"^\.maxntid (\d+), 1, 1$", source.with_suffix(".ptx").read_text(), flags=re.MULTILINE)
    launched = re.findall(r"\bconst (?:MOST_)?THREADS: (?:u32|usize) = (\d+);", (source.parent / "cuda.rs").read_text())
    assert len(bounds) > 0
    assert set(bounds) <= set(launched)


def constants(path: str) -> dict[str, int]:
    """The whole numbers that a C++ or Rust file names, as far as they follow from each other."""
    text = re.sub(r"//.*", "", (ROOT / path).read_text())
    if path.endswith(".rs"):
        named = re.findall(r"\bconst (\w+): (?:usize|u32|i64|i32) = ([^;]+);", text)
    else:
        lines = re.findall(r"^constexpr (?:int|int64_t|uint32_t|unsigned) ([^;]+);", text, flags=re.MULTILINE)
        named = [part.split(" = ") for line in lines for part in line.split(", ")]
    known: dict[str, int] = {}
    for name, value in named:
        formula = re.sub(r" as \w+", "", value).replace("/", "//")
        if all(word in known for word in re.findall(r"[A-Za-z]\w*", formula)) and "::" not in formula:
            known[name] = eval(formula, {}, known)
    return known


@pytest.mark.parametrize(
    ("kernel", "of_kernel", "launcher", "of_launcher"),
    [
        ("core/src/tree.cuh", "kTreeWidth", "core/src/tree.rs", "WIDTH"),
        ("core/src/tree.cuh", "kMostTreeLevels", "core/src/tree.rs", "MOST_LEVELS"),
        ("core/src/scan/scan.cu", "kThreads", "core/src/scan/cuda.rs", "THREADS"),
        ("core/src/scan/scan.cu", "kTile", "core/src/scan/cuda.rs", "TILE"),
        ("core/src/sort/sort.cu", "kThreads", "core/src/sort/cuda.rs", "THREADS"),
        ("core/src/sort/sort.cu", "kTile", "core/src/sort/cuda.rs", "TILE"),
        ("ops/src/point_index/point_index.cu", "kWarp", "ops/src/point_index/cuda.rs", "WARP"),
        ("ops/src/point_index/point_index.cu", "kPointsOfThread", "ops/src/point_index/cuda.rs", "POINTS_OF_THREAD"),
    ],
)
def test_kernels_and_launchers_agree_on_sizes(kernel, of_kernel, launcher, of_launcher):
    assert constants(f"crates/{kernel}")[of_kernel] == constants(f"crates/{launcher}")[of_launcher]


def test_python_knows_the_width_of_a_tree():
    width = constants("crates/core/src/tree.rs")["WIDTH"]
    for module in ("point_index.py", "_reference/point_index.py"):
        text = (ROOT / "packages/ops/src/patina3d/ops" / module).read_text()
        assert re.findall(r"^_?WIDTH = (\d+)$", text, flags=re.MULTILINE) == [str(width)]


def test_bits_along_the_curve_are_what_is_sorted():
    bits = constants("crates/ops/src/point_index/point_index.cu")["kCurveBits"]
    assert constants("crates/ops/src/point_index/cuda.rs")["PLACE_BITS"] == bits + 1


@needs_nvrtc
@pytest.mark.parametrize("source", sorted(KERNELS.glob("*.cu")), ids=lambda path: path.stem)
def test_what_the_emulator_offers_is_cuda(compiler, source):
    """The emulator's test kernels use each builtin it has: NVRTC must know them all."""
    assert compiler.ptx(source) == compiler.ptx(source)


@needs_nvrtc
def test_ptx_does_not_depend_on_where_the_source_is(compiler, tmp_path):
    for name in ("reduce.cu", "reduce.h"):
        (tmp_path / name).write_bytes((KERNELS / name).read_bytes())
    assert compiler.ptx(tmp_path / "reduce.cu") == compiler.ptx(KERNELS / "reduce.cu")


@needs_nvrtc
def test_products_and_sums_are_not_fused(compiler, workspace):
    """So that a kernel rounds like the emulator and the CPU path, which see the same two operations."""
    text = compiler.ptx(workspace / "scale.cu").decode()
    assert "mul" in text
    assert "fma" not in text


@needs_nvrtc
def test_check_finds_what_is_missing_stale_or_left_over(workspace, monkeypatch, capsys):
    assert run(monkeypatch, "--check") == 1
    assert run(monkeypatch, "--table") == 0
    assert run(monkeypatch, "--check") == 0
    capsys.readouterr()

    kernel = workspace / "scale.cu"
    kernel.write_text(kernel.read_text().replace("1.0f", "2.0f"))
    assert run(monkeypatch, "--check") == 1
    assert capsys.readouterr().out == "stale crates/ops/src/scale/scale.ptx\n"
    assert run(monkeypatch) == 0

    (workspace / "gone.ptx").write_text("")
    assert run(monkeypatch, "--check") == 1
    assert "gone.ptx" in capsys.readouterr().out
    (workspace / "gone.ptx").unlink()

    ptx.TABLE.write_text("nothing")
    assert run(monkeypatch, "--check") == 1
    assert "docs/ptx-resources.md" in capsys.readouterr().out


@needs_nvrtc
def test_table_has_a_row_a_kernel_and_a_column_an_architecture(workspace, monkeypatch):
    assert run(monkeypatch, "--table") == 0
    text = ptx.TABLE.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| scale_forward_f32 |")]
    assert [row.count("|") for row in rows] == [3 + len(known) for known in ptx.ASSEMBLERS.values()]
    assert "sm_70" in text
    assert "sm_120" in text


@needs_nvrtc
def test_an_error_in_a_kernel_is_told_with_its_line(workspace, monkeypatch, capsys):
    kernel = workspace / "scale.cu"
    kernel.write_text(kernel.read_text().replace("p.factor", "p.facto"))
    assert run(monkeypatch) == 1
    assert 'scale.cu(3): error: class "ScaleParams" has no member "facto"' in capsys.readouterr().err


def test_a_missing_header_is_told(workspace):
    (workspace / "scale.cu").write_text('#include "nowhere.h"\n')
    with pytest.raises(ptx.CompileError, match=r"scale\.cu: no header nowhere\.h"):
        ptx.headers_of(workspace / "scale.cu")


def test_an_unknown_stem_is_refused(workspace, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "knnn")
    assert "no kernel file is named knnn" in capsys.readouterr().err


def test_spills_are_read_and_shown():
    log = (
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'a_forward_f32' for 'sm_90'\n"
        "ptxas info    : Function properties for a_forward_f32\n"
        "    64 bytes stack frame, 24 bytes spill stores, 48 bytes spill loads\n"
        "ptxas info    : Used 255 registers, used 1 barriers, 3072 bytes smem, 400 bytes cmem[0]\n"
        "ptxas info    : Compiling entry function 'b_forward_f32' for 'sm_90'\n"
        "ptxas info    : Function properties for b_forward_f32\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 12 registers, 360 bytes cmem[0]\n"
    )
    found = ptx.resources(log)
    assert found["a_forward_f32"] == ptx.Resources(255, 64, 24, 48, 3072)
    assert ptx._cell(found["a_forward_f32"]) == "255 s24/48 l64"
    assert ptx._cell(found["b_forward_f32"]) == "12"
