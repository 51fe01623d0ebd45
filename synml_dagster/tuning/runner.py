"""Trials as Spark jobs of their own: one task each, as many at a time as there are slots, each stopped by its own tag."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError, TrainingError
from synml_dagster.features import GROUP, LABEL, PLACE, WEIGHT
from synml_dagster.files import ParquetFiles, files_reachable
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import Rows, read_rows
from synml_dagster.spark import task_slots
from synml_dagster.spark.quoting import quoted
from synml_dagster.spark.session import job_tag, stop_tagged
from synml_dagster.tuning.families import Question
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.ledger import TrialOutcome
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.trial import SCHEMA, Trial, TrialData, packed, packed_labels, time_to_score

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.features import FeaturePlan

MOST_VALUES = 100_000_000
"""A trial holds so many values of features at most, 400 MB; more are trained on by the session itself."""
_MOST_AT_A_TIME = 16
_LABELS = "labels.npz"
EXECUTOR_SECONDS = 600.0
"""How long a sweep waits for the first executor: clusters that grow on demand take minutes for it."""


def slots_for_trials(spark: SparkSession) -> int:
    """Return how many trials run at a time where the description does not say: as many as tasks do, up to 16."""
    return max(1, min(_MOST_AT_A_TIME, task_slots(spark) or 1))


def threads_of_a_trial(spark: SparkSession, parallel: int) -> int:
    """Return how many threads each of `parallel` trials may use, so that all together fill the slots and no more."""
    cpus = int(spark.conf.get("spark.task.cpus", "1") or 1)
    return max(1, cpus * (task_slots(spark) or 1) // parallel)


def wait_for_a_task(spark: SparkSession, seconds: float = EXECUTOR_SECONDS) -> None:
    """Return once Spark has run a task that does nothing: a job without an executor would wait for one without an end.

    Raises
    ------
    SetupError
        None has run in time.
    """
    tag, ended = f"synml-task-{uuid.uuid4().hex[:12]}", queue.SimpleQueue[BaseException | None]()

    def run() -> None:
        try:
            with job_tag(spark, tag):
                spark.range(0, 1, 1, 1).mapInArrow(_nothing, "id long").toArrow()
            ended.put(None)
        except BaseException as problem:
            ended.put(problem)

    threading.Thread(target=run, name="first-task", daemon=True).start()
    try:
        problem = ended.get(timeout=seconds)
    except queue.Empty:
        stop_tagged(spark, tag)
        raise SetupError(
            f"spark: no executor has run a task within {seconds:.0f} s, so no trial was started. Has the cluster workers, have they free cores and the memory that spark.executor.memory asks for, and does another application hold them?"
        ) from None
    if problem is not None:
        raise problem


def _nothing(batches: Iterator[Any]) -> Iterator[Any]:
    yield from batches


@dataclass
class TrialJobs:
    """Runs questions; may be called from several threads.

    A trial is a task of an executor. One of a family that is `in_session` runs in this process, with the same rows and folds.

    Parameters
    ----------
    specs
        `train` of each family.
    folder
        Where the answers of trials for held-out rows are kept, a file each.
    threads
        Of each trial.
    pruner
        The rule by which trials of the search are stopped half-way, None where they are not; candidates never are.
    """

    spark: SparkSession
    data: TrialData
    frame: DataFrame | None
    specs: Mapping[str, TrainSpec]
    folder: Path
    threads: int = 1
    pruner: str | None = "median"
    _tag: str = field(default_factory=lambda: f"synml-trial-{uuid.uuid4().hex[:12]}")
    _one_here: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _cancelled: set[int] = field(default_factory=set, repr=False)

    def __call__(self, question: Question) -> TrialOutcome:
        """Train on an executor, or here.

        Raises
        ------
        TrainingError
            Training failed there; the message is the one that it failed with.
        """
        labels = self.folder / _LABELS
        task = Trial(
            self.data,
            self.specs[question.family],
            question.params,
            self.threads,
            with_labels=not labels.exists(),
            curves=question.curves,
            pruned=question.pruned,
            pruner=self.pruner if question.origin == "search" else None,
        )
        with job_tag(self.spark, self._tag_of(question)):
            if learner_of(question.family).in_session:
                table = self._here(task, question)
            else:
                frame = self.spark.range(0, 1, 1, 1) if self.frame is None else self.frame
                table = frame.mapInArrow(task, SCHEMA).toArrow()
        told: dict[str, Any] = json.loads(table.column("told")[0].as_py())
        if "error" in told:
            problem = TrainingError(told["error"])
            problem.add_note(f"On the executor:\n{told['trace']}")
            raise problem
        self.folder.mkdir(parents=True, exist_ok=True)
        if (content := table.column("labels")[0].as_py()) and not labels.exists():
            _write(labels, content)
        if answers := table.column("answers")[0].as_py():
            _write(self.folder / f"{question.order}.npz", answers)
        return TrialOutcome(**told | {name: tuple(told[name]) for name in ("folds", "curve")})

    def _here(self, task: Trial, question: Question) -> pyarrow.Table:
        """Run a trial in this process, whose session trains it; one at a time, since each takes all executors."""
        import pyarrow as pa

        with self._one_here:
            if question.order in self._cancelled:
                raise TrainingError("the trial was stopped before it began")
            batches = iter(()) if self.frame is None else iter(self.frame.toArrow().to_batches())
            return pa.Table.from_batches(task(batches))

    def cancel(self, question: Question) -> None:
        """Stop the job of a question, and no other; one that waits to run in this process does not begin."""
        self._cancelled.add(question.order)
        stop_tagged(self.spark, self._tag_of(question))

    def _tag_of(self, question: Question) -> str:
        return f"{self._tag}-{question.order}"


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
    part.write_bytes(content)
    part.replace(path)


def trial_data(
    spark: SparkSession,
    plan: FeaturePlan,
    train: ParquetFiles,
    validation: ParquetFiles,
    folds: FoldPlan,
    measure: Measure,
    own_metric: str | None,
) -> tuple[TrialData, DataFrame | None]:
    """Return where trials find their rows: files that tasks open by themselves, or one partition of Spark's rows."""
    from pyspark.sql import functions as sf

    names = set(train.schema().names)
    columns = (
        *plan.with_all_parts().feature_names,
        *(name for name in (LABEL, WEIGHT, GROUP, PLACE) if name in names),
    )
    data = TrialData(
        key=uuid.uuid4().hex,
        train=tuple(train.paths),
        validation=tuple(validation.paths),
        columns=columns,
        folds=folds,
        plan=plan.model_dump_json(),
        measure=measure,
        own_metric=own_metric,
    )
    if files_reachable(spark, train) and files_reachable(spark, validation):
        return data, None
    parts = [
        files.dataframe(spark).select(
            *(sf.col(quoted(name)).alias(f"c{i}") for i, name in enumerate(columns)),
            sf.lit(part).alias("part"),
        )
        for part, files in enumerate((train, validation))
    ]
    return replace(data, train=(), validation=()), parts[0].union(parts[1]).coalesce(1)


@dataclass
class SessionTrials:
    """Runs questions one after another on the whole session, for rows that are too many or too wide for one task.

    Parameters
    ----------
    specs
        `train` of each family.
    own_metric
        The learner's own metric that decides in place of the measure.
    """

    spark: SparkSession
    plan: FeaturePlan
    rows: ParquetFiles
    validation: ParquetFiles
    specs: Mapping[str, TrainSpec]
    measure: Measure
    own_metric: str | None
    folder: Path
    _held: Rows | None = None

    def __call__(self, question: Question) -> TrialOutcome:
        """Train by the family's own way to the whole table, and measure on as many validation rows as fit."""
        spec = self.specs[question.family]
        with job_tag(self.spark, self._tag_of(question)):
            if self._held is None:
                self._held = read_rows(self.spark, self.validation, self.plan.feature_names)
                self.folder.mkdir(parents=True, exist_ok=True)
                if not (self.folder / _LABELS).exists():
                    _write(self.folder / _LABELS, packed_labels(self._held))
            model = learner_of(spec.learner).fit(
                self.spark, self.plan, spec, question.params, self.rows, self.validation
            )
        answers = model.predict(self._held.X)
        _write(self.folder / f"{question.order}.npz", packed(answers=answers))
        value = (
            self.measure.value(*self.measure.losses(answers, self._held))
            if self.own_metric is None
            else model.validation_score(self.own_metric)[1]
        )
        return TrialOutcome(
            value,
            model.iterations,
            kilobytes=round(len(model.text) / 1024, 1),
            milliseconds=round(time_to_score(model, self._held), 3),
        )

    def cancel(self, question: Question) -> None:
        """Stop the jobs of a question, and no others."""
        stop_tagged(self.spark, self._tag_of(question))

    def _tag_of(self, question: Question) -> str:
        return f"synml-trial-{id(self)}-{question.order}"
