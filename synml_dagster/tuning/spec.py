"""The `sweep` part of a description."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.learners.space import ParameterRange


class SweepSpec(BaseModel):
    """How long and over what the sweep searches; 0 trials turn it off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(default=10, ge=0, description="How many trials a sweep has in all; 0 turns it off.")
    minutes: float = Field(default=10.0, gt=0, description="No trial starts after this many minutes.")
    rows: int = Field(
        default=200_000,
        ge=100,
        description="Trials of a larger training table see a sample of this many rows; the final model sees all.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sampler; another seed starts another study.")
    space: dict[str, ParameterRange] | None = Field(
        default=None,
        description="Ranges by the learner's parameter names, in place of the defaults; parameters fixed in `train` are never searched.",
    )
