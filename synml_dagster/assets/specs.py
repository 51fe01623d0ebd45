"""The parts of a description that belong to single stages: `score` and `explain`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.sources import Source


class ScoreSpec(BaseModel):
    """What the champion scores and where the scores go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Source | None = Field(
        default=None, description="The rows to score; the pipeline's own table where absent."
    )
    path: str | None = Field(
        default=None,
        description="Folder of the scored table, replaced whole each time; under the data directory where absent. On "
        "local disks any Parquet reader finds the current rows and no others in it, in a folder partition=<key> each "
        "where there are partitions; on object stores its file _current.json names the version that counts.",
    )
    table: str | None = Field(
        default=None, description="Catalog table to write the scores to, replaced whole."
    )
    keep: list[str] | None = Field(
        default=None, description="Columns to carry along; all of them where absent."
    )
    bad_rows: Literal["set_aside", "raise"] = Field(
        default="set_aside",
        description="Rows that cannot be scored: set_aside writes them to a table of their own with the reason, raise "
        "ends the run.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> ScoreSpec:
        if self.path and self.table:
            raise ValueError("score.path and score.table both say where scores go; keep one")
        return self


class ExplainSpec(BaseModel):
    """How much is explained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(
        default=2000, ge=10, le=1_000_000, description="Test rows whose SHAP values are computed."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sample.")
