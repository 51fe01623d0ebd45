"""The rows that are to be scored, and what is to be said of them before they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.assets.stage import ScoreSpec
from synml_dagster.checks import unlike_training_in
from synml_dagster.features import FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.io_managers.place import partition_of
from synml_dagster.onnx import OnnxModel, read_as_dates, unread_in
from synml_dagster.partitions import PartitionsSpec
from synml_dagster.tables import Table, TableUnion
from synml_dagster.upstream import Reached, reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def rows_to_score(
    context: dg.AssetExecutionContext,
    spec: ScoreSpec,
    partitions: PartitionsSpec | None,
    raw: Table | None,
    model: OnnxModel,
    spark: SparkSession,
    notes: list[str],
    reached: Reached | None = None,
) -> tuple[dict[str, DataFrame | ParquetFiles], DataFrame | None]:
    """Return the rows of each of the run's partitions, or all under an empty key, and `score.source` as a whole, where it is read.

    `reached` is where the rows of `score.source` are, where that was asked already. `notes` takes what reading the source leaves to be said.
    """
    if spec.source is None:
        assert raw is not None
        if partitions is None:
            return {"": raw.nearest(spark)}, None
        return {key: part.nearest(spark) for key, part in _tables_of(context, raw).items()}, None
    # What was learnt as text is text, whatever the file happens to hold today; days that are typed are no loss where
    # a plan reads days of its text.
    typed = set() if spec.bad_rows == "raise" else read_as_dates(model)
    known = {t.name: "string" for t in model.inputs if t.type == "string" and t.name not in typed}
    opened = (reached or reach(context, spec.source, partitions)).open(spark, known=known, notes=notes)
    return ({"": opened.nearest()} if partitions is None else opened.parts(context)), opened.whole


def doubts(
    tables: Sequence[DataFrame | ParquetFiles | Table],
    model: OnnxModel,
    plan: FeaturePlan,
    spark: SparkSession,
) -> list[str]:
    """Return what is to be said of rows before they are scored: text that is not written as learnt, columns that nothing is left of.

    Raises
    ------
    DataError
        A column is missing, is of a type whose values are never the plan's, or most of its text cannot be read.
    """
    frames = [t.dataframe(spark) if isinstance(t, ParquetFiles | Table) else t for t in tables]
    numbers = {
        c.name
        for c in plan.columns
        if c.kind == "numeric" and c.input.storage == "string" and c.input.number_marks is None
    }
    said = [note for frame in frames for note in unread_in(frame, model, numbers)]
    return list(dict.fromkeys([*said, *unlike_training_in(frames, plan)]))


def _tables_of(context: dg.AssetExecutionContext, raw: Table) -> dict[str, Table]:
    """The table of each of the run's partitions, by the place that it lies in: Dagster hands the keys on in no order."""
    parts = {partition_of(t.root): t for t in (raw.parts if isinstance(raw, TableUnion) else (raw,))}
    return {key: parts[key] for key in context.partition_keys}
