# SPDX-License-Identifier: Apache-2.0
"""Every example in a docstring and on a page runs and shows what it says."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _module_names() -> list[str]:
    files = (path.relative_to(source) for source in ROOT.glob("packages/*/src") for path in source.rglob("*.py"))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files)
    return sorted(name for name in names if not name.endswith("__main__"))


def _run(test: doctest.DocTest) -> list[str]:
    """Run one example; return what went otherwise than it says."""
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append, clear_globs=False)
    return report


@pytest.mark.parametrize("name", _module_names())
def test_examples_of_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    report = []
    for test in doctest.DocTestFinder().find(module, name, extraglobs={"torch": torch}):
        torch.manual_seed(0)
        report += _run(test)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_of_pages(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    report = []
    text = page.read_text(encoding="utf-8")
    for block in PYTHON.finditer(text):
        line = text[: block.start(1)].count("\n")
        if ">>> " in block[1]:
            report += _run(doctest.DocTestParser().get_doctest(block[1], names, page.name, str(page), line))
        else:
            # Blank lines in front, so that an error shows the page's own line.
            exec(compile("\n" * line + block[1], str(page), "exec"), names)
    assert not report, "".join(report)


def _public() -> list[tuple[str, str]]:
    """(module, name) of the functions and classes that the public packages export."""
    found = []
    for init in sorted(ROOT.glob("packages/*/src/patina3d/*/__init__.py")):
        module = importlib.import_module(f"patina3d.{init.parent.name}")
        found += [(module.__name__, name) for name in getattr(module, "__all__", [])]
    return found


@pytest.mark.parametrize(("module", "name"), _public())
def test_public_names_are_documented(module, name):
    value = getattr(importlib.import_module(module), name)
    if inspect.isfunction(value) or inspect.isclass(value):
        assert inspect.getdoc(value), f"{module}.{name} has no docstring"
