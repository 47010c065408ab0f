# SPDX-License-Identifier: Apache-2.0
# Every command that anyone needs. `just` lists them; `./justw RECIPE` also works without just, uv and Rust.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments := true

export VIRTUAL_ENV := justfile_directory() / ".venv"
export PATH := VIRTUAL_ENV / "bin:" + env("PATH")
# One Python for every build, so that maturin and cargo share what they compile.
export PYO3_PYTHON := VIRTUAL_ENV / "bin/python"

just := quote(just_executable()) + " --justfile " + quote(justfile())

# List the recipes
[private]
default:
    @{{ just }} --list --unsorted

# Make the environment in .venv and build the native module
setup: _sync build

# Rebuild the native module, with the kernels' emulator, into the environment
build:
    cd packages/core && maturin develop --uv --release --features emulator

# Run every check and every test that needs no GPU; with an operator's name, its tests on every level
test op="": setup
    @{{ if op == "" { just + " check" } else { "true" } }}
    @{{ just }} _rust {{ quote(op) }}
    @{{ just }} _python {{ quote(op) }}
    @{{ just }} emulate {{ quote(op) }}

# Run the tests that need a CUDA device, all or an operator's (which may have none); fails where there is no device
gpu op="":
    @python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("just gpu: there is no CUDA device here")'
    pytest -m gpu -k "$1" || [[ $? == 5 && -n "$1" ]]

# Run the kernels' tests on the CPU, all or an operator's (which may have none), in three orders of threads
emulate op="":
    for order in forward reversed shuffled; do \
        echo "kernels emulated, threads in $order order"; \
        PATINA3D_EMULATE_CUDA=1 PATINA3D_EMULATOR_ORDER=$order pytest -m emulated -k "$1" || [[ $? == 5 && -n "$1" ]]; \
    done

# Check format, lint, types, PTX and the layout of the house: what CI runs first
check: _sync
    ruff format --check --quiet
    ruff check --quiet
    basedpyright --level error
    cargo fmt --all --check
    cargo clippy --quiet --release --workspace --all-targets --all-features -- -D warnings
    git ls-files '*.cu' '*.cuh' '*.h' '*.cpp' | xargs clang-format --dry-run --Werror
    python tools/ptx.py --check
    pytest tests/test_layout.py

# Format every source
fmt:
    ruff format --quiet
    ruff check --quiet --fix
    cargo fmt --all
    git ls-files '*.cu' '*.cuh' '*.h' '*.cpp' | xargs clang-format -i

# Show where an operator lives, level by level
op name:
    @python tools/find_op.py "$1"

# Scaffold an operator on every level, PACKAGE/NAME, with failing tests that say what to write
new-op name:
    @python tools/new_op.py "$1"

# Write the PTX of every kernel and the table of what the kernels cost
ptx:
    python tools/ptx.py --table

# Render the golden images anew and show what changed; `just golden --accept` keeps them
golden *arguments:
    python tools/golden.py "$@"

# Measure against peers and write benches/results, all or an operator's (options: --device)
bench *op:
    python benches/run.py "$@"

# Run every example in docstrings and pages, and write the generated pages
docs: setup
    python tools/ptx.py --table
    python tools/bench_table.py
    pytest tests/test_docs.py

# Fit a sphere to a shape and write pictures to out/demo
demo: setup
    patina3d fit --out out/demo

# Run the kernels' tests under the address and undefined-behaviour sanitizers
asan: _sync
    python tools/asan.py

# Build the release wheels of all packages into dist/
wheel: _sync
    uv sync --all-packages --no-install-package patina3d-core --frozen --inexact --quiet --group wheel
    python tools/wheel.py

# Install the built wheels beside several versions of torch and try them
matrix:
    python tools/matrix.py

# Run everything that a release must pass
ci: _libcuda test _slow docs asan wheel matrix

# maturin puts patina3d-core into the environment: uv leaves it alone.
_sync:
    uv sync --all-packages --no-install-package patina3d-core --frozen --inexact --quiet

_rust op="":
    cargo test --quiet --release --workspace --exclude patina3d-python {{ quote(op) }}

_python op="":
    pytest -m 'not slow' -k {{ quote(op) }}

_libcuda:
    tools/libcuda.sh || echo 'no libcuda here: its test is skipped'

_slow:
    pytest -m slow
