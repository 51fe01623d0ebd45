"""Why a model answers as it does: `explanations`, and on request `effects` and `attributions`."""

from synml_dagster.assets.reasons.attributions import build_attributions
from synml_dagster.assets.reasons.effects import build_effects
from synml_dagster.assets.reasons.explanations import build_explanations

__all__ = ["build_attributions", "build_effects", "build_explanations"]
