# SPDX-License-Identifier: Apache-2.0
"""The examples in the docstrings of the package say what happens."""

import doctest
import importlib
import pkgutil
import sys

import pytest
import torch

import patina3d.common
import patina3d.structures
import patina3d.transforms
import patina3d.utils

PACKAGES = [patina3d.common, patina3d.structures, patina3d.transforms, patina3d.utils]
MODULES = sorted(
    module.name for package in PACKAGES for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    importlib.import_module(name)
    result = doctest.testmod(sys.modules[name], extraglobs={"torch": torch})
    assert result.failed == 0


def test_every_public_name_is_documented_and_there():
    for package in PACKAGES:
        for name in package.__all__:
            assert getattr(package, name).__doc__ or name == "Device", name
