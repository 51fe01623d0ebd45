"""An ensemble of models that a sweep has found: it is put together, not trained, and so no learner of a description."""

from synml_dagster.learners.ensemble.model import EnsembleModel, Member, combined

__all__ = ["EnsembleModel", "Member", "combined"]
