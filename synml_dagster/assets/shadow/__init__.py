"""The challenger in shadow: its answers beside the champion's, run by run, until it takes its place or is refused."""

from synml_dagster.assets.shadow.live import both_live
from synml_dagster.assets.shadow.predictions import build_shadow_predictions

__all__ = ["both_live", "build_shadow_predictions"]
