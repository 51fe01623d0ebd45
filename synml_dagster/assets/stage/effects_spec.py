"""What `explain` may ask for beside SHAP values: effects of columns, attributions of any model, and rows that are chosen by hand."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class EffectsSpec(BaseModel):
    """What raw columns do to the answers in general, asked of the exported graph on test rows: an asset `effects`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Raw columns whose partial dependence, single curves and accumulated local effects are told; the most important ones where absent.",
    )
    most: int = Field(
        default=8, ge=1, le=100, description="How many of the most important columns, where none are named."
    )
    pairs: list[list[str]] = Field(
        default_factory=list,
        max_length=50,
        description="Pairs of raw columns whose partial dependence is told together, such as `[[age, hours]]`.",
    )
    points: int = Field(default=20, ge=2, le=200, description="Values of each column that are asked about.")
    curves: int = Field(
        default=50, ge=0, le=1_000, description="Rows whose own curves (ICE) are told; 0 for none."
    )
    rows: int = Field(
        default=5_000,
        ge=50,
        le=200_000,
        description="Test rows that are asked about, chosen by their content.",
    )
    shuffles: int = Field(
        default=5,
        ge=0,
        le=100,
        description="How often each column is shuffled for its permutation importance; 0 for none.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the shuffles.")

    @model_validator(mode="after")
    def _columns_are_told_once(self) -> EffectsSpec:
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError("explain.effects.columns names a column twice; keep one")
        for pair in self.pairs:
            if len(pair) != 2:
                raise ValueError(
                    f"explain.effects.pairs names {', '.join(map(repr, pair)) or 'nothing'} together; a pair is of two columns"
                )
            if pair[0] == pair[1]:
                raise ValueError(f"explain.effects.pairs pairs {pair[0]!r} with itself; name two columns")
        return self

    @property
    def named(self) -> list[str]:
        """All columns that the description names."""
        return list(dict.fromkeys([*(self.columns or []), *(c for pair in self.pairs for c in pair)]))


class AttributionsSpec(BaseModel):
    """Test rows explained by asking the exported graph, whatever the family of the model: an asset `attributions`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["kernel_shap", "lime"] = Field(
        default="kernel_shap",
        description="kernel_shap: values that add up to the answer. lime: weights of a sparse linear model near the row.",
    )
    rows: int = Field(
        default=20,
        ge=1,
        le=2_000,
        description="Test rows, chosen by their content; each costs thousands of answers.",
    )
    background: int = Field(
        default=50,
        ge=1,
        le=1_000,
        description="Training rows that stand for what is not known of a row; the model is asked that many times for each coalition.",
    )
    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Raw columns that share the answer; all that the model reads where absent.",
    )
    budget: int | None = Field(
        default=None,
        ge=4,
        le=1_000_000,
        description="kernel_shap: coalitions a row; chosen by the columns where absent.",
    )
    samples: int = Field(default=5_000, ge=10, le=1_000_000, description="lime: coalitions a row.")
    features: int = Field(default=10, ge=1, le=1_000, description="lime: columns at most that get a weight.")
    seed: int = Field(default=0, ge=0, description="Seed of the draws.")


class ChosenSpec(BaseModel):
    """Rows that the report explains one by one, beside typical and wrong ones, by the values of a column that tells them apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(
        description="The raw column whose values tell rows apart, such as a customer's number."
    )
    values: list[str] = Field(
        min_length=1,
        max_length=50,
        description="Its values in the rows to explain, on any side of the split.",
    )

    @field_validator("values", mode="before")
    @classmethod
    def _numbers_are_written_as_text(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        return [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]

    @field_validator("values")
    @classmethod
    def _told_once(cls, value: list[str]) -> list[str]:
        if twice := [v for v in value if value.count(v) > 1]:
            raise ValueError(f"explain.chosen.values names {twice[0]!r} twice; keep one")
        return value
