"""The `checks` part of a description: what is looked at each time rows are read or scored; nothing until it is named."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CheckSpec(BaseModel):
    """What all checks have: how a failure is shown, and whether it stops what comes after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Literal["warn", "error"] = Field(
        default="warn", description="How a failure is shown; a blocking check is an error."
    )
    blocking: bool = Field(
        default=False,
        description="Whether what comes after does not run when it fails. Needs severity error.",
    )

    @model_validator(mode="after")
    def _errors_block(self) -> CheckSpec:
        if self.blocking and self.severity == "warn":
            raise ValueError("blocking needs severity: error; a warning ends nothing")
        return self


class SchemaCheck(CheckSpec):
    """The columns that the champion uses are there, in the types that it learnt."""

    new_columns: bool = Field(
        default=True,
        description="Whether a column that the champion's table did not have is allowed; it is named in any case.",
    )


class RowCountCheck(CheckSpec):
    """As many rows as usual."""

    at_least: float = Field(
        default=0.5, ge=0, description="The least rows, as a multiple of the usual count."
    )
    at_most: float = Field(default=2.0, gt=0, description="The most rows, as a multiple of the usual count.")
    history: int = Field(
        default=7,
        ge=1,
        le=100,
        description="The usual count is the median of so many earlier reads, or of so many other partitions.",
    )

    @model_validator(mode="after")
    def _leaves_room(self) -> RowCountCheck:
        if self.at_least >= self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is not below at_most {self.at_most:g}")
        return self


class NullsCheck(CheckSpec):
    """Values are missing about as often as in the champion's training rows."""

    rise: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="By how much the share of missing values may exceed that of the training rows; 0.1 is ten rows in a hundred.",
    )
    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Raw columns; all that the champion's features are made of where absent, but dates and times.",
    )
    minimum_rows: int = Field(default=100, ge=1, description="Below so many rows the check passes.")


class RangesCheck(CheckSpec):
    """Values lie in the range that the champion has learnt from, and words are among those that it has seen."""

    share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The share of rows that may be outside, column by column.",
    )
    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Raw columns; all that the champion's features are made of where absent, but dates and times.",
    )
    minimum_rows: int = Field(default=100, ge=1, description="Below so many rows the check passes.")


class DuplicatesCheck(CheckSpec):
    """No two rows have one key."""

    columns: list[str] = Field(min_length=1, description="The columns that together tell a row.")


class FreshnessCheck(CheckSpec):
    """The newest row is not old."""

    column: str = Field(description="A column of dates or times.")
    hours: float = Field(
        gt=0,
        description="The most hours between its newest value and the moment of reading; a date counts as its end.",
    )


class PredictionsCheck(CheckSpec):
    """The champion's answers are spread as on its test rows."""

    psi: float = Field(
        default=0.2, gt=0, description="Population stability index above which the answers have drifted."
    )
    minimum_rows: int = Field(default=500, ge=1, description="Below so many rows the check passes.")


class ChecksSpec(BaseModel):
    """What is checked of the rows that are read (`raw`) and scored (`predictions`).

    Examples
    --------
    >>> ChecksSpec(duplicates={"columns": ["id"]}).duplicates.severity
    'warn'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: SchemaCheck | None = Field(
        default=None, description="Columns and types of `raw` against those that the champion has learnt."
    )
    row_count: RowCountCheck | None = Field(default=None, description="Rows of `raw` against earlier reads.")
    duplicates: DuplicatesCheck | None = Field(
        default=None, description="Rows of `raw` that share a key, within a partition where there are some."
    )
    freshness: FreshnessCheck | None = Field(
        default=None, description="The newest value of a column of `raw` against the clock."
    )
    nulls: NullsCheck | None = Field(
        default=None, description="Missing values of the rows to score against the training rows."
    )
    ranges: RangesCheck | None = Field(
        default=None, description="Values of the rows to score against the range of the training rows."
    )
    predictions: PredictionsCheck | None = Field(
        default=None, description="The distribution of the answers against that on the test rows."
    )
