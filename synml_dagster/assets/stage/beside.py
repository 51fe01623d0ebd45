"""What a step and those after it need beside their long work, made ready while that goes on."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

from synml_dagster.resources import MLflowResource

_NEEDED = (
    "synml_dagster.plots.training",
    "synml_dagster.plots.evaluation",
    "synml_dagster.plots.explanations",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "synml_dagster.explain.tree_shap.kernels",
)
"""Modules that draw and explain; importing them for the first time takes as long as several pictures do."""


def get_ready_beside(mlflow: MLflowResource) -> None:
    """Open MLflow, and import what draws and explains, in a thread of its own: seconds in which the step waits for Spark anyway.

    What goes wrong there is said where it is needed: it is tried again then.
    """

    def ready() -> None:
        with suppress(Exception):
            mlflow.client  # noqa: B018, opens it
        for name in _NEEDED:
            with suppress(Exception):
                import_module(name)

    threading.Thread(target=ready, name="ready-beside", daemon=True).start()
