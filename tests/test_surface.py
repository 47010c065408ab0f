# SPDX-License-Identifier: Apache-2.0
"""The names of PyTorch3D are here, at the same module paths, and take the same arguments.

``support/surface.json`` holds, by module, what must be there: functions, and methods as ``Class.method``, each with its
parameters as PyTorch3D has them; ``=...`` stands for any default. A name is added to it when it is built.
"""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest
import torch

SURFACE: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "support/surface.json").read_text(encoding="utf-8")
)
NAMES = [(module, name) for module, names in SURFACE.items() for name in names]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _found(module: str, name: str) -> object:
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _value(node: ast.expr) -> object:
    return eval(compile(ast.Expression(node), "surface.json", "eval"), {"torch": torch})


def _complaints(written: str, signature: inspect.Signature) -> list[str]:
    """What a signature lacks of the one written."""
    function = ast.parse(f"def f{written}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    theirs, ours = function.args, signature.parameters
    names = [argument.arg for argument in theirs.args]
    defaults = dict(zip(reversed(names), reversed(theirs.defaults), strict=False))
    positional = [name for name, parameter in ours.items() if parameter.kind in POSITIONAL]
    open_ended = theirs.vararg is not None or theirs.kwarg is not None
    complaints = []
    if (positional[: len(names)] if open_ended else positional) != names:
        complaints.append(f"positional arguments must be {names}, got {positional}")
    only = {a.arg: default for a, default in zip(theirs.kwonlyargs, theirs.kw_defaults, strict=True)}
    for name, default in {**defaults, **only}.items():
        if name not in ours:
            complaints.append(f"{name} must be an argument")
        elif default is None:
            pass
        elif ours[name].default is inspect.Parameter.empty:
            complaints.append(f"{name} must have a default")
        elif _value(default) is not ... and ours[name].default != _value(default):
            complaints.append(f"{name} must be {ast.unparse(default)} by default, got {ours[name].default!r}")
    return complaints


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{module}.{name}" for module, name in NAMES])
def test_name_has_its_arguments(module: str, name: str):
    found = _found(module, name)
    complaints = _complaints(SURFACE[module][name], inspect.signature(found))  # pyright: ignore
    assert not complaints, f"{module}.{name}: " + "; ".join(complaints)


def test_what_is_compared():
    def function(a: int, b: int = 2, *, extra: int = 3) -> None: ...

    signature = inspect.signature(function)
    assert not _complaints("(a, b=2)", signature)
    assert not _complaints("(a, b=2, *, extra=3)", signature)
    assert not _complaints("(a, *args)", signature)
    assert not _complaints("(a, b)", signature), "what need not be given may be given"
    for written in ("(a)", "(b=2, a=1)", "(a, b=3)", "(a=1, b=2)", "(a, b=2, *, other=1)", "(c, *args)"):
        assert _complaints(written, signature), written
