"""What stages hand on: the rows of a split, a trained model with all that it was made of, and where a score comes from."""

from synml_dagster.assets.artifacts.fitted import ExportedPipeline, FittedPipeline, plan_of, with_its_plan
from synml_dagster.assets.artifacts.provenance import COLUMNS, Provenance, check_carried, check_names
from synml_dagster.assets.artifacts.split import check_classes, check_queries, check_weights, side

__all__ = [
    "COLUMNS",
    "ExportedPipeline",
    "FittedPipeline",
    "Provenance",
    "check_carried",
    "check_classes",
    "check_names",
    "check_queries",
    "check_weights",
    "plan_of",
    "side",
    "with_its_plan",
]
