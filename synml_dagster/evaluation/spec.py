"""The `evaluate` part of a description: what wrong answers cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Costs(BaseModel):
    """What a wrong answer of a yes-or-no question costs, in any unit; a right one costs nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    false_positive: float = Field(
        ge=0, allow_inf_nan=False, description="Of flagging a row that is not of the positive class."
    )
    false_negative: float = Field(
        ge=0, allow_inf_nan=False, description="Of missing a row that is of the positive class."
    )
    unit: str = Field(
        default="", max_length=20, description="What the costs are in, such as EUR, for readers."
    )

    @model_validator(mode="after")
    def _something_costs(self) -> Costs:
        if not self.false_positive + self.false_negative:
            raise ValueError("both costs are 0, so every threshold is as good; give at least one")
        return self

    @property
    def of_calibrated(self) -> float:
        """The best threshold of probabilities that are exactly right: `fp / (fp + fn)` (Elkan 2001, theorem 1)."""
        return self.false_positive / (self.false_positive + self.false_negative)


class EvaluateSpec(BaseModel):
    """What wrong answers cost, and how closely weak spots are looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    costs: Costs | None = Field(
        default=None,
        description="What wrong answers cost: the threshold that costs least on the validation rows is told, with what it "
        "costs on the test rows. Binary tasks.",
    )
    slices: int = Field(
        default=12,
        ge=0,
        le=60,
        description="Columns, the most important first, by which and by two of which rows are told where the model is worst; 0 "
        "for none.",
    )
