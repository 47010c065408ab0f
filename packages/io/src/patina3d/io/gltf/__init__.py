# SPDX-License-Identifier: Apache-2.0
"""The parts of glTF 2.0: container, JSON document, accessors, scene, textures, writer."""
