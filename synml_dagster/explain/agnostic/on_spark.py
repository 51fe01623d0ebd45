"""Explains every row of a table for any model, distributed by rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.explain.agnostic.background import Background
from synml_dagster.explain.agnostic.models import Scored, Takes, scored
from synml_dagster.explain.agnostic.rows import Question, explained, question

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_ROWS_A_TASK = 8


def explain_with(
    df: DataFrame,
    model: Any,
    background: Background | DataFrame | None = None,
    *,
    method: str = "kernel_shap",
    columns: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    vector: str | None = None,
    text: str | None = None,
    output: str | None = None,
    takes: Takes = "arrow",
    budget: int | None = None,
    samples: int = 5000,
    features: int = 10,
    seed: int = 0,
    pattern: str = r"\S+",
    keep: Sequence[str] | None = None,
    column: str = "contributions",
    tasks: int | None = None,
) -> DataFrame:
    """Return the rows of `df` with the values of their players, by Kernel SHAP or LIME, for any model.

    Parameters
    ----------
    df
        The rows to explain, classic or Connect; each costs hundreds to thousands of answers of the model.
    model, method, columns, groups, vector, text, output, takes, budget, samples, features, seed, pattern
        As for `explain_rows`. A Python function goes to the tasks as it is, and must find what it imports there.
    background
        A `Background`, or a DataFrame that 100 rows are sampled of.
    keep
        Columns to carry along; all when None.
    column
        Name of the new column: an array of structs, `player` (string), for text its `start` and `end` (int), and
        `values` (array<double>, one an output). Beside it `<column>_base` and `<column>_r2`, arrays by output.
    tasks
        Tasks that the rows are spread over; as many as there are slots when None.

    Raises
    ------
    ConfigError, DataError, ModelError
        As for `explain_rows`, before any row is explained.
    """
    from pyspark.sql import functions as sf
    from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StringType, StructField, StructType

    from synml_dagster.spark import task_slots
    from synml_dagster.spark.quoting import quoted

    there = df.columns
    kept = list(there if keep is None else keep)
    for name in kept:
        if name not in there:
            raise ConfigError(f"keep: the table has no column {name!r}.{did_you_mean(name, there)}")
    added = [column, f"{column}_base", f"{column}_r2"]
    taken = {name.casefold() for name in kept}
    for name in added:
        if name.casefold() in taken:
            raise ConfigError(
                f"The table to explain has a column {name!r} already: choose another name for the new one."
            )
    spark = df.sparkSession
    opened = scored(model, output=output, takes=takes, spark=spark)
    if background is not None and not isinstance(background, Background):
        background = Background.sample(background, opened.columns)
    asked, reads = question(
        opened,
        there,
        background,
        method,
        columns,
        groups,
        vector,
        text,
        budget=budget,
        samples=samples,
        features=features,
        seed=seed,
        pattern=pattern,
    )
    number = ArrayType(DoubleType())
    place = [StructField("start", IntegerType()), StructField("end", IntegerType())] if text else []
    player = StructType([StructField("player", StringType()), *place, StructField("values", number)])
    own = {field.name: field for field in df.schema.fields}
    new = [StructField(added[0], ArrayType(player)), *(StructField(name, number) for name in added[1:])]
    schema = StructType([*(own[name] for name in kept), *new])
    sent = [*kept, *(name for name in reads if name not in kept)]
    # mapInArrow looks columns up by bare name, which fails for names with dots: give it plain ones.
    narrow = df.select(*(sf.col(quoted(name)).alias(f"c{i}") for i, name in enumerate(sent)))
    places = {name: i for i, name in enumerate(sent)}
    task = _task(opened, asked, background, len(kept), [(name, places[name]) for name in reads], kept, added)
    # A row costs seconds, so a handful of rows is worth a task.
    return narrow.repartition(tasks or task_slots(spark) or _ROWS_A_TASK).mapInArrow(task, schema)


def _task(
    model: Scored,
    asked: Question,
    background: Background | None,
    kept: int,
    reads: list[tuple[str, int]],
    names: list[str],
    added: list[str],
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    table = None if background is None else background.table
    weight = None if background is None else background.weight
    text = asked.text is not None

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        scores = model.open()
        rows = None if table is None or weight is None else Background(table, weight, "")
        number = pa.list_(pa.float64())
        place = [("start", pa.int32()), ("end", pa.int32())] if text else []
        kind = pa.list_(pa.struct([("player", pa.string()), *place, ("values", number)]))
        for batch in batches:
            if not batch.num_rows:
                continue
            given = pa.RecordBatch.from_arrays(
                [batch.column(i) for _, i in reads], names=[name for name, _ in reads]
            )
            told, base, r2 = [], [], []
            for one, players, spans in explained(scores, given, rows, asked):
                lines: list[dict[str, Any]] = [
                    {"player": p, "values": v.tolist()} for p, v in zip(players, one.values, strict=True)
                ]
                for line, (start, end) in zip(lines, spans or [], strict=False):
                    line |= {"start": start, "end": end}
                told.append(lines)
                base.append(one.base.tolist())
                r2.append([None if np.isnan(x) else float(x) for x in one.r2])
            arrays = [pa.array(told, kind), pa.array(base, number), pa.array(r2, number)]
            yield pa.RecordBatch.from_arrays([*batch.columns[:kept], *arrays], names=[*names, *added])

    return run
