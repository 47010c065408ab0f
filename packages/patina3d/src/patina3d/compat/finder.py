# SPDX-License-Identifier: Apache-2.0
"""``import pytorch3d`` that means ``patina3d``."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["install"]

_THEIRS, _OURS = "pytorch3d", "patina3d"

# The version of PyTorch3D whose names these are.
_VERSION = "0.7.9"


def install() -> None:
    """Make ``import pytorch3d`` mean ``patina3d``, in this process and from now on.

    ``pytorch3d.structures.meshes`` is then the very module ``patina3d.structures.meshes``, and so is every other,
    loaded when it is first imported; only the top, ``pytorch3d``, is a module of its own, with the ``__version__``
    whose names it stands for. A PyTorch3D that is installed is not touched: it is not found. Calling this twice is
    calling it once.

    A module that PyTorch3D has and Patina3D has not is a ``ModuleNotFoundError`` that says so.

    Processes that a program starts anew (``multiprocessing`` by "spawn") must call this for themselves.

    Raises:
        RuntimeError: PyTorch3D itself has been imported already.

    Example (for the whole process, so not one to try out in passing)::

        import patina3d.compat

        patina3d.compat.install()
        from pytorch3d.structures import Meshes  # patina3d.structures.Meshes
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    imported = sys.modules.get(_THEIRS)
    if imported is not None:
        raise RuntimeError(
            "patina3d.compat.install: pytorch3d has been imported already, "
            f"from {getattr(imported, '__file__', None)}; call install before the first import of it"
        )
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds PyTorch3D's modules at home in ours."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _THEIRS:
            return importlib.machinery.ModuleSpec(fullname, _Top(), is_package=True)
        if not fullname.startswith(f"{_THEIRS}."):
            return None
        ours = _ours(fullname)
        if importlib.util.find_spec(ours) is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}: there is no {ours!r}", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, _Twin())


class _Top(importlib.abc.Loader):
    """Loads ``pytorch3d``: the namespace ``patina3d`` cannot carry a version."""

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> ModuleType:
            try:
                return importlib.import_module(f"{_THEIRS}.{name}")
            except ModuleNotFoundError as error:
                # Something that the module itself needs stays what it is.
                if error.name != f"{_THEIRS}.{name}":
                    raise
                raise AttributeError(f"module {_THEIRS!r} has no attribute {name!r}") from error

        vars(module).update(__version__=_VERSION, __getattr__=find)


class _Twin(importlib.abc.Loader):
    """Loads a module of PyTorch3D's name by handing out ours."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ours(spec.name))
        # Submodules that came along must not be imported again under the other name: the import system would bind them
        # in their package anew, over a function of the same name.
        for name, loaded in list(sys.modules.items()):
            if name.startswith(f"{_OURS}.") and isinstance(loaded, ModuleType):
                sys.modules.setdefault(f"{_THEIRS}{name.removeprefix(_OURS)}", loaded)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has written the other name's.
        module.__spec__ = self._spec


def _ours(fullname: str) -> str:
    return _OURS + fullname.removeprefix(_THEIRS)
