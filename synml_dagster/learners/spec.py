"""The `train` part of a description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from synml_dagster.learners.base import learner_of
from synml_dagster.learners.registry import learner_names


class TrainSpec(BaseModel):
    """How the model is trained.

    Examples
    --------
    >>> TrainSpec(params={"num_leaves": 63}, rounds=300).rounds
    300
    >>> TrainSpec(learner="linear", params={"alpha": 0.01}).learner
    'linear'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learner: str = Field(
        default="lightgbm", description=f"The family of models: one of {', '.join(learner_names())}."
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="The learner's parameters by their own names or aliases; what stands here is not searched by the sweep.",
    )
    rounds: int = Field(default=500, ge=1, description="The most boosting rounds.")
    early_stopping: int = Field(
        default=30,
        ge=0,
        description="Stop after this many rounds without a better validation metric; 0 never stops.",
    )
    ranks: int | None = Field(
        default=None, ge=1, description="Spark tasks that train together; one per executor where absent."
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random in training.")
    refit: bool = Field(
        default=False,
        description="Train the final model once more, on training and validation rows together: for the best round's number times the rows' growth, with nothing held out. "
        "Test rows alone say what it is worth.",
    )

    @field_validator("learner")
    @classmethod
    def _is_a_family(cls, learner: str) -> str:
        learner_of(learner)
        return learner

    @field_validator("params")
    @classmethod
    def _known_to_the_family(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        # Under the main names: what the task or the sweep gives by them is then replaced, and not given twice.
        return learner_of(info.data["learner"]).checked_params(params) if "learner" in info.data else params

    @model_validator(mode="after")
    def _keys_of_the_family(self) -> TrainSpec:
        learner_of(self.learner).check(self)
        return self
