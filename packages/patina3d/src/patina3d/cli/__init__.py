# SPDX-License-Identifier: Apache-2.0
"""The command line ``patina3d``."""

from patina3d.cli.app import main

__all__ = ["main"]
