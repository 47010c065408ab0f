# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test file may use."""

import hypothesis
import pytest
import torch

# No deadlines: machines are noisy, and a bound in time says nothing about the code.
hypothesis.settings.register_profile("patina3d", deadline=None)
hypothesis.settings.load_profile("patina3d")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device; torch.cuda.is_available() is False here")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device there is."""
    return torch.device(request.param)
