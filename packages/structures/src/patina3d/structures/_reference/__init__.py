# SPDX-License-Identifier: Apache-2.0
"""The operators' definitions in plain torch: slow, readable, exact in float64. Tests compare with these."""
