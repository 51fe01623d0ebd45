"""What a step needs after its long work, made ready while that goes on."""

from __future__ import annotations

import threading
from contextlib import suppress

from synml_dagster.resources import MLflowResource


def get_ready_beside(mlflow: MLflowResource) -> None:
    """Import and open MLflow, and what draws pictures, in a thread of their own: seconds in which the step waits for Spark anyway.

    What goes wrong there is said where it is needed: it is tried again then.
    """

    def ready() -> None:
        with suppress(Exception):
            mlflow.client  # noqa: B018, opens it
        with suppress(Exception):
            import matplotlib.backends.backend_agg
            import matplotlib.figure  # noqa: F401

    threading.Thread(target=ready, name="ready-beside", daemon=True).start()
