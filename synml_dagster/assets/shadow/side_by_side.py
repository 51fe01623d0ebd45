"""Rows scored by two models: the champion's answers, and the challenger's beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from synml_dagster.assets.artifacts import COLUMNS, Provenance
from synml_dagster.checks import ShadowRun
from synml_dagster.checks.answers import answer_bins
from synml_dagster.checks.shadow import CHALLENGER, CHALLENGER_VERSION, UNSCORED, compared
from synml_dagster.checks.shadow_registry import InShadow
from synml_dagster.evaluation import Evaluation
from synml_dagster.onnx import OnnxModel, score
from synml_dagster.onnx.scorer import ANSWERS, REASON
from synml_dagster.resources import DataDirectory, MLflowResource, ModelVersion
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables import Table, written_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_HELD = "__champion_"


@dataclass(frozen=True)
class Pair:
    """The champion and the challenger in shadow, opened."""

    champion: OnnxModel
    challenger: OnnxModel
    provenance: Provenance
    version: str
    """The challenger's."""
    test: Evaluation
    """The champion's, which tells by which bins its answers are counted."""

    @classmethod
    def opened(cls, mlflow: MLflowResource, shadow: InShadow, holder: ModelVersion) -> Pair:
        """Open both models' graphs.

        Raises
        ------
        ModelError
            One cannot be opened.
        """
        bundle = mlflow.download(holder)
        champion = OnnxModel.load(bundle)
        return cls(
            champion,
            OnnxModel.load(mlflow.download(shadow.version)),
            Provenance(str(holder.version), champion.metadata["plan_fingerprint"], datetime.now(UTC)),
            str(shadow.version.version),
            Evaluation.load(bundle),
        )

    def scored(self, rows: Any, keep: Sequence[str] | None, spark: SparkSession) -> DataFrame:
        """Return the rows that the champion can score, with its answers as `predictions` has them and those of the challenger.

        A row that the challenger alone cannot score has the reason and no answers of it.

        Parameters
        ----------
        rows
            A DataFrame or Parquet files.
        keep
            Columns to carry along, all where None.

        Raises
        ------
        DataError, ModelError
            A model can score no row of such a table.
        """
        from pyspark.sql import functions as sf

        names = (rows if hasattr(rows, "columns") else rows.dataframe(spark)).columns
        carried = [c for c in names if c.casefold() not in {*ANSWERS, REASON, *COLUMNS}]
        once = score(rows, self.champion, keep=carried, bad_rows="mark", spark=spark)
        answers = [c for c in once.columns[len(carried) :] if c != REASON]
        once = once.where(sf.col(REASON).isNull()).drop(REASON)
        once = once.withColumnsRenamed({c: f"{_HELD}{c}" for c in answers})
        kept = carried if keep is None else list(keep)
        held = [f"{_HELD}{c}" for c in answers]
        twice = score(once, self.challenger, keep=[*kept, *held], bad_rows="mark", spark=spark)
        own = [c for c in twice.columns[len(kept) + len(held) :] if c != REASON]
        return self.provenance.stamp(
            twice.select(
                *(sf.col(quoted(c)) for c in kept),
                *(sf.col(f"{_HELD}{c}").alias(c) for c in answers),
                *(sf.col(c).alias(f"{CHALLENGER}{c}") for c in own),
                sf.col(REASON).alias(UNSCORED),
                sf.lit(self.version).alias(CHALLENGER_VERSION),
            )
        )

    def compared(self, run_id: str, tables: Mapping[str, Table], spark: SparkSession) -> ShadowRun:
        """Return what the rows that both have scored show."""
        at = self.provenance.scored_at.isoformat(timespec="seconds")
        frames = [table.dataframe(spark) for table in tables.values()]
        return compared(run_id, at, frames, answer_bins(self.test))


@contextmanager
def scored_once(each: Mapping[str, DataFrame], pipeline: str, name: str) -> Iterator[dict[str, Table]]:
    """Lend the rows as they are written, so that the two models score each of them once, whoever reads the answers."""
    root = DataDirectory().path(pipeline, name)
    with ExitStack() as stack:
        yield {key: stack.enter_context(written_table(frame, root)) for key, frame in each.items()}
