"""The `evaluate` part of a description: what wrong answers cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.errors import ConfigError, did_you_mean


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


class CostMatrix(BaseModel):
    """What each answer costs by what is true, for several classes; a right answer costs nothing where it is not named."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    costs: dict[str, dict[str, float]] = Field(
        description="True class, then answer: `{basic: {plus: 1, pro: 5}, plus: {basic: 2, pro: 1}, pro: {basic: 20, plus: 5}}`. "
        "Every two different classes need a cost; a class with itself may have one.",
    )
    unit: str = Field(
        default="", max_length=20, description="What the costs are in, such as EUR, for readers."
    )

    @field_validator("costs", mode="before")
    @classmethod
    def _classes_are_words(cls, value: object) -> object:
        """YAML reads some words as numbers and booleans, and labels are known as text."""
        if not isinstance(value, dict):
            return value
        return {
            _word(true): {_word(answer): cost for answer, cost in row.items()}
            if isinstance(row, dict)
            else row
            for true, row in value.items()
        }

    @field_validator("costs")
    @classmethod
    def _costs_are_costs(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for true, row in value.items():
            for answer, cost in row.items():
                if not (math.isfinite(cost) and cost >= 0):
                    raise ValueError(
                        f"answering {answer!r} where {true!r} is true costs {cost:g}; costs are finite numbers of 0 or more"
                    )
        if not any(cost for row in value.values() for cost in row.values()):
            raise ValueError("all costs are 0, so every answer is as good; give at least one")
        return value

    def matrix(self, classes: Sequence[str]) -> list[list[float]]:
        """Return the costs as a table, true class by answer, in the order of `classes`.

        Raises
        ------
        ConfigError
            A class is named that the label does not have, or a cost is missing.

        Examples
        --------
        >>> CostMatrix(costs={"a": {"b": 2}, "b": {"a": 1}}).matrix(["a", "b"])
        [[0.0, 2.0], [1.0, 0.0]]
        """
        for named in [*self.costs, *(a for row in self.costs.values() for a in row)]:
            if named not in classes:
                quotes = " YAML reads words such as no and yes as booleans; write them in quotes." * (
                    named in ("true", "false")
                )
                shown = ", ".join(map(repr, classes[:10])) + (" ..." if len(classes) > 10 else "")
                raise ConfigError(
                    f"evaluate.cost_matrix names the class {named!r}, and the label has {shown}.{did_you_mean(named, classes)}{quotes}"
                )
        missing = [
            (true, answer)
            for true in classes
            for answer in classes
            if true != answer and answer not in self.costs.get(true, {})
        ]
        if missing:
            shown = ", ".join(f"{answer!r} where {true!r} is true" for true, answer in missing[:5])
            raise ConfigError(
                f"evaluate.cost_matrix does not say what {len(missing)} of the {len(classes) * (len(classes) - 1)} wrong answers cost: {shown}{' ...' if len(missing) > 5 else ''}. "
                "Give each a cost, 0 where it does no harm."
            )
        return [[float(self.costs.get(t, {}).get(a, 0.0)) for a in classes] for t in classes]


def _word(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class EvaluateSpec(BaseModel):
    """What wrong answers cost, and how closely weak spots are looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    costs: Costs | None = Field(
        default=None,
        description="What wrong answers cost: the threshold that costs least on the validation rows is told, with what it "
        "costs on the test rows. Binary tasks.",
    )
    cost_matrix: CostMatrix | None = Field(
        default=None,
        description="What each answer costs by what is true, for three classes or more: predictions and the exported graph then answer the "
        "`decision` of the lowest expected cost and its `expected_cost`, beside the likeliest class.",
    )
    slices: int = Field(
        default=12,
        ge=0,
        le=60,
        description="Columns, the most important first, by which and by two of which rows are told where the model is worst; 0 "
        "for none.",
    )

    @model_validator(mode="after")
    def _one_kind_of_costs(self) -> EvaluateSpec:
        if self.costs is not None and self.cost_matrix is not None:
            raise ValueError(
                "evaluate.costs is about two classes and evaluate.cost_matrix about more; keep one"
            )
        return self
