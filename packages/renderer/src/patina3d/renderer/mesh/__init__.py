# SPDX-License-Identifier: Apache-2.0
"""From meshes to pixels."""
