# SPDX-License-Identifier: Apache-2.0
"""`just new-op` makes an operator that stands on every level."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of what new_op.py reads and writes, with a new operator in it."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "crates", copy / "crates")
    shutil.copytree(ROOT / "tools", copy / "tools")
    done = _new_op(copy, "ops/half_square")
    if "is not in this Python" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def _new_op(house: Path, name: str) -> subprocess.CompletedProcess:
    command = [sys.executable, house / "tools/new_op.py", name]
    return subprocess.run(command, capture_output=True, check=False, encoding="utf-8")


def test_every_room_is_there(house):
    command = [sys.executable, house / "tools/find_op.py", "half_square"]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0
    assert "✗" not in done.stdout


def test_its_files_are_whole(house):
    files = [path for path in house.rglob("*half_square*") if path.is_file()]
    files += (house / "crates/ops/src/half_square").iterdir()
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "__op__" not in text
        assert "__package__" not in text
        if path.suffix == ".py":
            ast.parse(text)
    assert ".entry half_square_backward_f64(" in (house / "crates/ops/src/half_square/half_square.ptx").read_text(
        encoding="utf-8"
    )


def test_it_is_registered_in_order(house):
    modules = [
        line
        for line in (house / "crates/ops/src/lib.rs").read_text(encoding="utf-8").splitlines()
        if line.startswith("pub mod")
    ]
    assert modules == sorted(modules)
    assert "pub mod half_square;" in modules
    bindings = (house / "crates/python/src/ops/mod.rs").read_text(encoding="utf-8")
    assert "use super::half_square::{half_square_backward, half_square_forward};" in bindings
    assert "&patina3d_ops::half_square::MODULE" in (house / "crates/python/src/device.rs").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_rust_compiles(house):
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("needs cargo")
    for file in ("Cargo.toml", "Cargo.lock", "clippy.toml"):
        shutil.copy(ROOT / file, house / file)
    command = [cargo, "clippy", "--release", "--workspace", "--all-targets", "--all-features", "--quiet"]
    command += ["--target-dir", ROOT / "target", "--", "-D", "warnings"]
    done = subprocess.run(command, cwd=house, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_its_tests_say_what_to_write(house):
    test = (house / "tests/ops/test_half_square.py").read_text(encoding="utf-8")
    assert test.count("pytest.fail(") == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ops/half_square", "there is an operator half_square"),
        ("ops/HalfSquare", "NAME in snake_case, got ops/HalfSquare"),
        ("loss/half", "PACKAGE one of"),
        ("half", "expected PACKAGE/NAME"),
    ],
)
def test_bad_names_are_refused(house, name, message):
    done = _new_op(house, name)
    assert done.returncode == 2
    assert message in done.stderr
