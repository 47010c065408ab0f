# SPDX-License-Identifier: Apache-2.0
"""The parts of USD: the library, reader and writer."""
