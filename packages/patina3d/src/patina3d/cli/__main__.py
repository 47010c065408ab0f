# SPDX-License-Identifier: Apache-2.0
"""``python -m patina3d.cli``."""

from patina3d.cli.app import main

main()
