# SPDX-License-Identifier: Apache-2.0
"""What the user got wrong."""

__all__ = ["UserError"]


class UserError(Exception):
    """A sentence for the person at the terminal."""
