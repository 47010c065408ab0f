# SPDX-License-Identifier: Apache-2.0
"""Definitions in plain torch: what the operators are tested against."""
