"""Labels, sides, weights and groups of rows that tasks read from files, and the held-out ones of them scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.columns.arrow_values import arrow_type, as_spark_writes, label_values, typed
from synml_dagster.columns.match import matched, matched_paths
from synml_dagster.columns.raw import raw_inputs
from synml_dagster.errors import DataError
from synml_dagster.features.compile.messages import bad_weight, unseen_class
from synml_dagster.features.names import GROUP, LABEL, PLACE, SPLIT, SPLITS, WEIGHT
from synml_dagster.features.profile.file_rows import can_be_read, row_reader
from synml_dagster.features.profile.request import RowFacts
from synml_dagster.onnx.spark_scoring import scoring_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField

    from synml_dagster.features.plan import FeaturePlan
    from synml_dagster.features.profile.row_reader import RowReader
    from synml_dagster.features.splitting.split_limits import SplitLimits
    from synml_dagster.files import ParquetFiles
    from synml_dagster.onnx import OnnxModel
    from synml_dagster.onnx.worker import ScoreTask


def score_split(
    spark: SparkSession, files: ParquetFiles, plan: FeaturePlan, model: OnnxModel, side: str
) -> DataFrame | None:
    """Return the model's answers for the labelled rows on one `side` of the plan's split, with `__label`, and `__weight`
    and `__group` where the plan has them; None where only Spark can read the rows.

    Raises
    ------
    DataError, ModelError
        As `score` does.
    """
    from pyspark.sql.types import StructType

    from synml_dagster.files.file_splits import plan_file_splits
    from synml_dagster.files.mapping import map_splits
    from synml_dagster.spark import task_slots

    frame = files.dataframe(spark)
    found, work = labeller(frame, files, plan), scoring_of(frame, model, keep=())
    if found is None or not work.plain:
        return None
    labels, read = found
    labels = replace(labels, placed=False)
    schema = StructType([f for f in labels.fields(frame) if f.name != SPLIT] + work.schema.fields)
    task = _ScoredSplit(
        score=work.task,
        labels=labels,
        sent=tuple(name for name, _ in work.sent),
        side=side,
    )
    types = work.types(frame) | {raw.path[0]: arrow_type(raw.spark_type) for raw in read}
    splits = [s for s in plan_file_splits(files, task_slots(spark) or 8) if s.rows]
    columns = list(dict.fromkeys([*types, *task.sent]))
    return map_splits(spark, splits, columns, task, schema, absent=types) if splits else None


def labeller(
    frame: DataFrame, files: ParquetFiles, plan: FeaturePlan
) -> tuple[Labeller, list[RawInput]] | None:
    """Return what labels the rows of `files`, and the columns that it reads; None where only Spark can.

    `frame` are the files as Spark opens them. Only Spark can where the plan spreads equal rows over the sides, where such a column is nested, a list or a decimal, or of
    another type than the plan has seen, and where the label's classes are fractions.

    Raises
    ------
    DataError
        A column is missing, or its type has changed to one that could lose values.
    """
    if plan.split.spread:  # equal rows are numbered across all files
        return None
    planned = [plan.label.raw, *filter(None, [plan.weight, plan.group, plan.split.column])]
    here = matched(frame, planned)
    matched_paths(frame, plan.split.hashed, "training")
    found = {raw.path: raw for raw in raw_inputs(frame.schema)[0]}
    hashed = [found[path] for path in plan.split.hashed]
    facts = RowFacts(
        target=plan.label.raw,
        weights=plan.weight,
        by=plan.split.by,
        split_column=plan.split.column,
        hashed=hashed,
        placing=hashed,
        seed=plan.split.spec.seed,
    )
    read = [*planned, *facts.hashed, *facts.placed]
    if any(a.spark_type != b.spark_type for a, b in zip(here, planned, strict=True)):
        return None
    classes = plan.label.classes
    numeric = plan.label.storage in ("number", "integer")
    if not can_be_read(files, read, {}) or (classes and numeric and not as_spark_writes(classes)):
        return None
    made = Labeller(
        reader=row_reader(facts),
        label=plan.label.column,
        classes=classes,
        sides=plan.split.limits(classes),
        weight=plan.weight.name if plan.weight else None,
        group=(plan.group.path[0], plan.group.spark_type) if plan.group else None,
        placed=plan.keeps_place,
    )
    return made, read


@dataclass(frozen=True)
class Labeller:
    """Says of raw rows what `features.assemble` adds for training. Runs on executors: numpy and pyarrow only."""

    reader: RowReader
    label: str
    classes: list[str] | None
    sides: SplitLimits
    weight: str | None
    group: tuple[str, str] | None
    placed: bool = False

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, pa.Array]]:
        """Return the rows that have a label, and their columns `__label`, `__split`, `__weight`, `__group` and `__place`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        told = self.reader.told(batch.select([column.name for column in self.reader.read]))
        known = pc.not_equal(told.column("word"), "")
        if not pc.all(known).as_py():
            batch, told = batch.filter(known), told.filter(known)
        labels = label_values(told.column("word"), told.column("number").to_numpy(), self.classes)
        self._check(told, labels)
        places = self.sides.numbers(told.column("position").to_numpy(), np.nan_to_num(labels))
        added = {
            LABEL: pa.array(labels.astype(np.int32) if self.classes else labels),
            SPLIT: pa.DictionaryArray.from_arrays(pa.array(places), list(SPLITS)).cast(pa.string()),
        }
        if self.weight is not None:
            added[WEIGHT] = told.column("weight")
        if self.group is not None:
            name, kind = self.group
            added[GROUP] = typed(batch.column(name), name, kind)
        if self.placed:
            added[PLACE] = told.column("position")
        return batch, added

    def fields(self, frame: DataFrame) -> list[StructField]:
        """Return Spark's fields of the columns that are added; `frame` has the group's type."""
        from pyspark.sql import types as T

        made = [
            T.StructField(LABEL, T.IntegerType() if self.classes else T.DoubleType()),
            T.StructField(SPLIT, T.StringType()),
        ]
        if self.weight is not None:
            made.append(T.StructField(WEIGHT, T.DoubleType()))
        if self.group is not None:
            made.append(T.StructField(GROUP, frame.schema[self.group[0]].dataType))
        if self.placed:
            made.append(T.StructField(PLACE, T.DoubleType()))
        return made

    def _check(self, told: pa.RecordBatch, labels: np.ndarray) -> None:
        if self.classes and np.isnan(labels).any():
            unseen = told.column("word")[int(np.isnan(labels).argmax())].as_py()
            raise DataError(unseen.join(unseen_class(self.label)))
        if self.weight is not None and not (told.column("weight").to_numpy() >= 0).all():
            raise DataError(bad_weight(self.weight))


@dataclass(frozen=True)
class _ScoredSplit:
    """Scores the rows of one split among raw rows."""

    score: ScoreTask
    labels: Labeller
    sent: tuple[str, ...]
    side: str

    def __call__(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        """Return label, weight, group and answers of the rows on the side."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows, added = self.labels(raw)
        kept = pc.equal(added.pop(SPLIT), self.side)
        answered = self.score.answered(rows.filter(kept).select(list(self.sent)))
        each = [column.filter(kept) for column in added.values()]
        return pa.RecordBatch.from_arrays([*each, *answered.columns], names=[*added, *answered.schema.names])
