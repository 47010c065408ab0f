# SPDX-License-Identifier: Apache-2.0
"""Fitting and training on top of the renderer."""

from patina3d.models.fit_mesh import FitSettings, MeshFit
from patina3d.models.surface_metrics import SurfaceMetrics, surface_metrics
from patina3d.models.views import Views, views_around

__all__ = ["FitSettings", "MeshFit", "SurfaceMetrics", "Views", "surface_metrics", "views_around"]
