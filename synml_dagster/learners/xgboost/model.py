"""A trained XGBoost model: XGBoost's own JSON, and beside it what that does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.tree_models.model import TreeModel


@dataclass
class XGBoostModel(TreeModel):
    """A model of XGBoost. Opening a saved one needs no XGBoost: its trees are read from the JSON.

    Attributes
    ----------
    text : str
        XGBoost's own JSON, as `xgboost.Booster.save_model` writes it, of the rounds that early stopping kept. Its features have
        no names; `features` holds them.
    """

    learner: ClassVar[str] = "xgboost"
    text_file: ClassVar[str] = "xgboost.json"

    objective: str = "reg:squarederror"

    @property
    def iterations(self) -> int:
        """How many boosting rounds the model holds."""
        return int(self.facts.get("rounds kept", 1))
