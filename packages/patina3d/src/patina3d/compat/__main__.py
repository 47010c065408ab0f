# SPDX-License-Identifier: Apache-2.0
"""``python -m patina3d.compat PROGRAM [ARGS]``: run a program written for PyTorch3D, unchanged.

``python -m patina3d.compat -m MODULE [ARGS]`` runs a module.
"""

import runpy
import sys
from pathlib import Path

from patina3d.compat.finder import install

_USAGE = """usage: python -m patina3d.compat PROGRAM [ARGS]
       python -m patina3d.compat -m MODULE [ARGS]

Run a program in which `import pytorch3d` means `patina3d`."""


def main() -> None:
    """Run the program that the command line names, as Python would."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE)
        return
    as_module = arguments[:1] == ["-m"]
    sys.argv = arguments[1:] if as_module else arguments
    if not sys.argv:
        sys.exit(_USAGE)
    if as_module:
        install()
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    program = Path(sys.argv[0])
    if not program.exists():
        sys.exit(f"patina3d.compat: there is no program {program}")
    install()
    sys.path[0] = str(program.resolve().parent)
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
