"""Rows scored by two models: the champion's answers, and the challenger's beside them."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from synml_dagster import errors
from synml_dagster.assets.artifacts import COLUMNS, Provenance
from synml_dagster.checks import ShadowRun
from synml_dagster.checks.answers import answer_bins
from synml_dagster.checks.shadow import ANSWERS, CHALLENGER, CHALLENGER_VERSION, UNSCORED, compared
from synml_dagster.errors import ConfigError, DataError, ModelError, SetupError, did_you_mean
from synml_dagster.evaluation import Evaluation
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, score
from synml_dagster.onnx.scorer import REASON, answers_of
from synml_dagster.resources import DataDirectory, MLflowResource, ModelVersion
from synml_dagster.spark.messages import first_line
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables import Table, written_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_HELD = "__champion_"
_ASIDE = "__column_"
"""What a column of the table is called while a model answers by its name."""

_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*(.+)")
"""A Python worker's traceback in what Spark says, and its last line."""

_OF_THE_HOST = (OSError, MemoryError, EOFError, SetupError)
"""What a task raises on a full disk, without memory, or where a file of the model did not reach it."""

_OWN = {*(f"{CHALLENGER}{name}" for name in ANSWERS), UNSCORED, CHALLENGER_VERSION}


@dataclass(frozen=True)
class Beside:
    """The champion, opened: its answers, and those of a challenger beside them."""

    champion: OnnxModel
    provenance: Provenance
    test: Evaluation
    """The champion's, which tells by which bins its answers are counted."""

    @classmethod
    def opened(cls, mlflow: MLflowResource, holder: ModelVersion) -> Beside:
        """Open the champion's graph and evaluation.

        Raises
        ------
        ModelError
            One cannot be opened.
        """
        bundle = mlflow.download(holder)
        champion = OnnxModel.load(bundle)
        fingerprint = champion.metadata["plan_fingerprint"]
        provenance = Provenance(str(holder.version), fingerprint, datetime.now(UTC))
        return cls(champion, provenance, Evaluation.load(bundle))

    def scored(self, rows: DataFrame | ParquetFiles, keep: Sequence[str] | None, spark: SparkSession) -> Once:
        """Return the rows that the champion can score, with all columns of the table and its answers.

        Parameters
        ----------
        rows
            A DataFrame or Parquet files.
        keep
            Columns to carry along, all where None.

        Raises
        ------
        ConfigError
            A column to carry along is called like one that is made.
        DataError, ModelError
            The champion can score no row of such a table, or a column to carry along is missing.
        """
        from pyspark.sql import functions as sf

        frame = rows.dataframe(spark) if isinstance(rows, ParquetFiles) else rows
        names = list(frame.columns)
        kept = names if keep is None else list(keep)
        for name in kept:
            if name not in names:
                raise DataError(f"score.keep: the table has no column {name!r}.{did_you_mean(name, names)}")
        check_kept(kept, self.champion)
        # The challenger may learn from what the champion answers by: such a column travels under another name.
        aside = _aside(names, self.champion)
        if aside:
            rows = _with_copies(frame, aside)
        carried = [aside.get(c, c) for c in names]
        once = score(rows, self.champion, keep=carried, bad_rows="mark", spark=spark)
        answers = [c for c in once.columns[len(carried) :] if c != REASON]
        once = once.where(sf.col(REASON).isNull()).drop(REASON)
        once = once.withColumnsRenamed({c: f"{_HELD}{c}" for c in answers})
        return Once(once.withColumnsRenamed({new: old for old, new in aside.items()}), kept, answers)

    def answered(self, once: Once, challenger: OnnxModel, version: str, spark: SparkSession) -> DataFrame:
        """Return the rows with the champion's answers as `predictions` has them and those of the challenger.

        A row that the challenger cannot score has the reason and no answers of it.

        Raises
        ------
        DataError, ModelError
            The challenger can score no row of such a table.
        """
        from pyspark.sql import functions as sf

        aside = _aside(once.kept, challenger)
        held = [f"{_HELD}{c}" for c in once.answers]
        kept = {c: aside.get(c, c) for c in once.kept}
        rows = _with_copies(once.rows, aside) if aside else once.rows
        twice = score(rows, challenger, keep=[*kept.values(), *held], bad_rows="mark", spark=spark)
        own = [c for c in twice.columns[len(kept) + len(held) :] if c != REASON]
        return self.provenance.stamp(
            twice.select(
                *(sf.col(quoted(there)).alias(c) for c, there in kept.items()),
                *(sf.col(f"{_HELD}{c}").alias(c) for c in once.answers),
                *(sf.col(c).alias(f"{CHALLENGER}{c}") for c in own),
                sf.col(REASON).alias(UNSCORED),
                sf.lit(version).alias(CHALLENGER_VERSION),
            )
        )

    def compared(
        self, run_id: str, tables: Mapping[str, Table], challenger: OnnxModel, spark: SparkSession
    ) -> ShadowRun:
        """Return what the rows that both have scored show."""
        at = self.provenance.scored_at.isoformat(timespec="seconds")
        frames = [table.dataframe(spark) for table in tables.values()]
        both = _answers(self.champion) & _answers(challenger)
        decided = "decision" if "decision" in both else "prediction"
        return compared(run_id, at, frames, answer_bins(self.test), decided)


@dataclass(frozen=True)
class Once:
    """Rows that the champion has scored.

    Attributes
    ----------
    rows
        All columns of the table, and the answers under names of their own.
    kept
        The columns to carry along.
    answers
        What the answers are called.
    """

    rows: DataFrame
    kept: list[str]
    answers: list[str]


def champion_scores(each: Iterable[Once]) -> bool:
    """Whether the champion alone can score the rows: whose fault it was, where a job that runs both models has failed."""
    try:
        for once in each:
            once.rows.write.format("noop").mode("overwrite").save()
    except Exception:  # whatever it is, it is not the challenger's
        return False
    return True


def raised_by_model(problem: Exception) -> bool:
    """Whether a model raised it in a task: the same rows would fail again, as they need not where Spark lost the task or its host had no room."""
    found = _TRACEBACK.search(str(problem))
    if found is None:
        return isinstance(problem, (DataError, ModelError))
    name = found[1].partition(":")[0].strip().rpartition(".")[2]
    kind = getattr(builtins, name, None) or getattr(errors, name, None)
    return not (isinstance(kind, type) and issubclass(kind, _OF_THE_HOST))


def said_of(problem: Exception) -> str:
    """Return the line that says what went wrong in a task, or what Spark says of it."""
    found = _TRACEBACK.search(str(problem))
    return found[1].strip() if found else first_line(problem)


def check_kept(columns: Sequence[str], champion: OnnxModel | None = None) -> None:
    """Refuse columns that `shadow_predictions` cannot carry along, because it has others of such a name.

    Raises
    ------
    ConfigError
        One is called as an answer of the challenger or the champion, or as a column that says where a score comes from.
    """
    taken = _OWN if champion is None else {*_OWN, *_answers(champion), *COLUMNS}
    for name in columns:
        if name.casefold() in taken:
            raise ConfigError(
                f"The column {name!r} cannot be carried along, because shadow_predictions has one of that name. Name the columns to carry along without it in score.keep, or rename it in the source."
            )


def _answers(model: OnnxModel) -> set[str]:
    return {name for name in answers_of(model) if name != "raw_score"}  # which is answered on request alone


def _aside(columns: Sequence[str], model: OnnxModel) -> dict[str, str]:
    """Return other names for the columns that are called like what the model answers."""
    taken = {*_answers(model), REASON}
    return {c: f"{_ASIDE}{c}" for c in columns if c.casefold() in taken}


def _with_copies(frame: DataFrame, aside: Mapping[str, str]) -> DataFrame:
    from pyspark.sql import functions as sf

    return frame.select("*", *(sf.col(quoted(old)).alias(new) for old, new in aside.items()))


@contextmanager
def scored_once(each: Mapping[str, DataFrame], pipeline: str, name: str) -> Iterator[dict[str, Table]]:
    """Lend the rows as they are written, so that the two models score each of them once, whoever reads the answers."""
    root = DataDirectory().path(pipeline, name)
    with ExitStack() as stack:
        yield {key: stack.enter_context(written_table(frame, root)) for key, frame in each.items()}
