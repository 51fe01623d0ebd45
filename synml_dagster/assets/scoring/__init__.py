"""The champion at work: rows that it scores, what is looked at before, and why each row was scored so."""

from synml_dagster.assets.scoring.predictions import build_predictions
from synml_dagster.assets.scoring.rejected import build_rejected_rows
from synml_dagster.assets.scoring.rows import rows_to_score

__all__ = ["build_predictions", "build_rejected_rows", "rows_to_score"]
