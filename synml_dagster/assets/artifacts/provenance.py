"""Where a score comes from: columns that every scored row carries, and the same facts for the asset's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError
from synml_dagster.tables import RUN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = ("model_version", "plan_fingerprint", "scored_at")
"""What is added to each scored row: string, string, timestamp."""


@dataclass(frozen=True)
class Provenance:
    """Which model scored and when.

    Attributes
    ----------
    model_version
        The version in MLflow's registry.
    plan_fingerprint
        The fingerprint of the feature plan that is in the model's graph.
    scored_at
        When the scoring began, with its time zone: one moment for all rows of a run.
    run
        The run that appends the rows, where it does: a further column.
    """

    model_version: str
    plan_fingerprint: str
    scored_at: datetime
    run: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS if self.run is None else (*COLUMNS, RUN)

    def stamp(self, scored: DataFrame) -> DataFrame:
        """Return `scored` with the columns behind its own.

        They are literals of the plan, so that Spark writes them without a row going through Python once more.

        Raises
        ------
        ConfigError
            The table has a column of such a name.
        """
        from pyspark.sql import functions as sf

        check_names(scored.columns, self.columns)
        moment = int(self.scored_at.timestamp() * 1_000_000)
        return scored.select(
            "*",
            sf.lit(self.model_version).alias("model_version"),
            sf.lit(self.plan_fingerprint).alias("plan_fingerprint"),
            sf.timestamp_micros(sf.lit(moment)).alias("scored_at"),
            *([] if self.run is None else [sf.lit(self.run).alias(RUN)]),
        )

    def values(self) -> dict[str, Any]:
        """Return the columns' values by name."""
        told = (self.model_version, self.plan_fingerprint, self.scored_at, self.run)
        return dict(zip(self.columns, told, strict=False))

    def metadata(self) -> dict[str, Any]:
        """Return the facts for the asset's page."""
        return {
            "model_version": self.model_version,
            "plan_fingerprint": self.plan_fingerprint,
            "scored_at": self.scored_at.isoformat(timespec="seconds"),
        }


def check_carried(columns: Sequence[str], added: Sequence[str] = COLUMNS) -> None:
    """Refuse columns that predictions cannot carry along, because every model answers by such a name.

    Raises
    ------
    ConfigError
        One is called as an answer or as a column that says where a score comes from.
    """
    check_names(columns, added)
    for name in columns:
        if name.casefold() == "prediction":
            raise ConfigError(
                f"The table has a column {name!r}, and so do predictions. Name the columns to carry along without it in score.keep, or rename it in the source."
            )


def check_names(columns: Sequence[str], added: Sequence[str] = COLUMNS) -> None:
    """Refuse a table with a column of a name that is `added`.

    Raises
    ------
    ConfigError
    """
    taken = {name.casefold(): name for name in columns}
    for name in added:
        if name in taken:
            raise ConfigError(
                f"The table already has a column {taken[name]!r}, and predictions add {name!r} to say where a score comes from. Name the columns to carry along without it in score.keep, or rename it in the source."
            )
