"""The parts of a description that belong to single stages: `score`, `mlflow` and `explain`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.assets.stage.effects_spec import AttributionsSpec, ChosenSpec, EffectsSpec
from synml_dagster.resources.model_registry import wrong_name
from synml_dagster.sources import Source
from synml_dagster.spark.options import SparkOptions
from synml_dagster.tables import RUN, Database


class DatabaseSpec(BaseModel):
    """A table of a PostgreSQL database that scores are written to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    jdbc: str = Field(description="The address: jdbc:postgresql://host:5432/database.")
    table: str = Field(
        description="`table` or `schema.table`, in double quotes where capitals or blanks count; made where there is none."
    )
    options: SparkOptions = Field(
        default_factory=dict,
        description="Options of Spark's JDBC writer and of the driver: user, password, numPartitions, sslmode ...",
    )

    @model_validator(mode="after")
    def _is_one(self) -> DatabaseSpec:
        self.place()
        return self

    def place(self) -> Database:
        """Return the table and how Spark reaches it."""
        return Database(self.jdbc, self.table, self.options)


class ScoreSpec(BaseModel):
    """What the champion scores and where the scores go."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: Source | None = Field(
        default=None, description="The rows to score; the pipeline's own table where absent."
    )
    path: str | None = Field(
        default=None,
        description="Folder of the scored table, replaced whole each time, unless runs append; under the data directory where absent. On "
        "local disks any Parquet reader finds the current rows and no others in it, in a folder partition=<key> each "
        "where there are partitions; on object stores its file _current.json names the version that counts.",
    )
    table: str | None = Field(
        default=None,
        description="Catalog table to write the scores to, replaced whole, unless runs append.",
    )
    database: DatabaseSpec | None = Field(
        default=None,
        description="Table of a database to write the scores to: all its rows are replaced at once, or those of each partition, or of each run that appends.",
    )
    append: bool = Field(
        default=False,
        description="Whether each run adds its rows to those of earlier runs, with its id in the column run_id, and replaces none but its own: "
        "those that it wrote before it was tried again or re-executed.",
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
        places = [f"score.{name}" for name in ("path", "table", "database") if getattr(self, name)]
        if len(places) > 1:
            raise ValueError(f"{' and '.join(places)} all say where scores go; keep one")
        if self.append and RUN in {name.casefold() for name in self.keep or ()}:
            raise ValueError(
                f"score.keep names {RUN!r}, and score.append adds a column of that name; rename yours, or leave it out"
            )
        return self


class MLflowSpec(BaseModel):
    """Under which names MLflow keeps the pipeline's runs and models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str | None = Field(
        default=None,
        description="The experiment that the pipeline's runs are filed under; that of the resource where absent.",
    )
    model: str | None = Field(
        default=None,
        description="The registered model, such as prod.ml.adult; the pipeline's name where absent.",
    )

    @field_validator("model")
    @classmethod
    def _can_be_registered(cls, name: str | None) -> str | None:
        if name is not None and (wrong := wrong_name(name)):
            raise ValueError(wrong)
        return name

    @field_validator("experiment")
    @classmethod
    def _has_a_name(cls, name: str | None) -> str | None:
        if name is not None and not name.strip():
            raise ValueError("an experiment's name is not empty")
        return name


class ContributionsSpec(BaseModel):
    """Why every row was scored as it was: a table `contributions` beside `predictions`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int = Field(
        default=3, ge=0, le=20, description="How many reasons of each row are columns of their own."
    )
    detailed: bool = Field(
        default=False,
        description="Also a column for each feature of raw columns that have several, such as the parts of a date.",
    )
    kernel_rows: int = Field(
        default=0,
        ge=0,
        description="Rows at most that are explained by Kernel SHAP where the champion is neither trees nor linear: thousands of "
        "rows are scored for each of them. More rows than that end the run before any are scored.",
    )
    path: str | None = Field(
        default=None,
        description="Folder of the table, replaced whole each time, as score.path; under the data directory where absent.",
    )
    table: str | None = Field(default=None, description="Catalog table to write it to, replaced whole.")

    @model_validator(mode="after")
    def _one_place(self) -> ContributionsSpec:
        if self.path and self.table:
            raise ValueError(
                "explain.contributions.path and explain.contributions.table both say where contributions go; keep one"
            )
        return self


class ExplainSpec(BaseModel):
    """How much is explained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(
        default=2000, ge=10, le=1_000_000, description="Test rows whose SHAP values are computed."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sample.")
    contributions: bool | ContributionsSpec = Field(
        default=False,
        description="Explain every scored row, in a table beside the predictions: true, or its options.",
    )

    effects: bool | EffectsSpec = Field(
        default=False,
        description="Tell what raw columns do to the answers in general (partial dependence, single curves, accumulated local effects, "
        "permutation importance), in an asset of its own: true, or its options.",
    )
    attributions: bool | AttributionsSpec = Field(
        default=False,
        description="Explain test rows by asking the exported graph, by Kernel SHAP or LIME, in an asset of its own: true, or its options.",
    )
    chosen: ChosenSpec | None = Field(
        default=None, description="Rows that the report explains one by one, beside those that it chooses."
    )

    @property
    def asked_effects(self) -> EffectsSpec | None:
        """How effects are told; None where they are not."""
        if isinstance(self.effects, EffectsSpec):
            return self.effects
        return EffectsSpec() if self.effects else None

    @property
    def asked_attributions(self) -> AttributionsSpec | None:
        """How test rows are explained by asking; None where they are not."""
        if isinstance(self.attributions, AttributionsSpec):
            return self.attributions
        return AttributionsSpec() if self.attributions else None

    @property
    def on_request(self) -> list[str]:
        """The stages that are there because this part asks for them, and that the report shows."""
        asked = {"effects": self.asked_effects, "attributions": self.asked_attributions}
        return [stage for stage, spec in asked.items() if spec is not None]

    @property
    def named(self) -> dict[str, list[str]]:
        """The raw columns that have to be the model's, by the option that names them."""
        effects, attributions = self.asked_effects, self.asked_attributions
        found = {
            "explain.effects": effects.named if effects else [],
            "explain.attributions": list(attributions.columns or []) if attributions else [],
        }
        return {key: columns for key, columns in found.items() if columns}

    @property
    def every_row(self) -> ContributionsSpec | None:
        """How every scored row is explained; None where none is."""
        if isinstance(self.contributions, ContributionsSpec):
            return self.contributions
        return ContributionsSpec() if self.contributions else None
