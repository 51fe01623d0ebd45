"""Why a model answers as it does: `explanations`."""

from synml_dagster.assets.reasons.explanations import build_explanations

__all__ = ["build_explanations"]
