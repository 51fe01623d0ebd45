"""The `train` part of a description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.learners.registry import learner_names, learner_of


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
        description="The learner's parameters by their own names; what stands here is not searched by the sweep.",
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

    @model_validator(mode="after")
    def _known_to_the_learner(self) -> TrainSpec:
        learner_of(self.learner).check(self)
        return self
