"""Scores tables on Spark, classic or Connect: through Spark's rows, or by tasks that read the files themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.onnx.binding import planned_columns
from synml_dagster.onnx.model import OnnxModel
from synml_dagster.onnx.scorer import REASON, Scorer
from synml_dagster.onnx.shipping import ship
from synml_dagster.onnx.worker import Further, Place, ScoreMaker, ScoreTask, freeze
from synml_dagster.spark.quoting import quoted
from synml_dagster.spark.session import active_session
from synml_dagster.tables.task_writes import MadeRows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from synml_dagster.files import ParquetFiles

_ROWS_A_BATCH = 65536
_PACKED = {"tinyint", "smallint", "int", "bigint", "float", "double"}
_AS_IT_IS = {"number", "integer", "boolean", "string", "date", "timestamp"}


def score(
    data: DataFrame | ParquetFiles,
    model: OnnxModel,
    *,
    keep: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    inputs: Mapping[str, str | Sequence[str]] | None = None,
    softmax: Mapping[str, str] | None = None,
    argmax: Mapping[str, str] | None = None,
    provider: str = "auto",
    bad_rows: str = "raise",
    spark: SparkSession | None = None,
    tasks: int | None = None,
    further: Further | None = None,
) -> DataFrame:
    """Return `data` with the model's answers as further columns; batch or streaming.

    Parameters
    ----------
    data
        A DataFrame (batch or stream), or Parquet files, which tasks then read by themselves: faster, and the result
        is the same.
    model
        A pipeline of this package, or any ONNX model whose inputs are filled by columns.
    keep
        Columns of the table to keep, in this order; all when None.
    outputs, inputs, softmax, argmax, bad_rows
        As for `Scorer`; with `mark`, a column of another type than the plan's is read row by row, and rows that hold
        what cannot be read have a reason. By default a pipeline answers `prediction` (the class as in the training table, or a double)
        and for classes `probability` (float: of the second class; array of float for more than two).
    provider
        `auto` uses the GPU that Spark gives a task; `cpu`, `cuda`, ... insist.
    spark
        The session for `ParquetFiles`; the active one when None.
    tasks
        Shares that Parquet files are cut into; one per task slot when None.
    further
        Makes other columns of the answers; see `synml_dagster.onnx.worker.Further`.

    Raises
    ------
    DataError
        Columns are missing, or of a type that could hold what the model has never seen.
    ConfigError
        A kept column has the name of an answer, or an output is not known.
    ModelError
        The model is damaged, or does not fit the runtime.
    """
    from pyspark.sql import DataFrame

    options = {
        "outputs": outputs,
        "inputs": inputs,
        "softmax": softmax,
        "argmax": argmax,
        "bad_rows": bad_rows,
    }
    if isinstance(data, DataFrame):
        frame, files = data, None
    else:
        frame, files = data.dataframe(spark or active_session()), data
    work = scoring_of(frame, model, keep=keep, provider=provider, options=options, further=further)
    if files is not None and work.plain and files.paths:
        return _by_file_splits(frame, files, work, tasks)
    sent, task = _packed(frame, work.sent, work.task)
    # pyspark looks the columns of a frame up by their bare names, in which it takes a dot for a field of a struct.
    return frame.select(*[column.alias(f"c{i}") for i, (_, column) in enumerate(sent)]).mapInArrow(
        task, work.schema
    )


def score_files(
    spark: SparkSession,
    files: ParquetFiles,
    model: OnnxModel,
    *,
    keep: Sequence[str] | None = None,
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    further: Further | None = None,
) -> MadeRows | None:
    """Return the rows of `score(files, model, keep=keep, ...)` for tasks to write by themselves; None where only Spark can
    bring a column into the form that the model takes.

    Parameters
    ----------
    spark, files, model, keep, outputs, further
        As for `score`.
    constants
        Further columns, of one value each: text, or a time with its zone.

    Raises
    ------
    ConfigError, DataError, ModelError
        As for `score`.
    """
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
    from pyspark.sql.types import StructType

    frame = files.dataframe(spark)
    work = scoring_of(frame, model, keep=keep, options={"outputs": outputs}, further=further)
    if not work.plain or not files.paths:
        return None
    more = pa.schema([(name, pa.scalar(value).type) for name, value in (constants or {}).items()])
    schema = StructType([*work.schema.fields, *from_arrow_schema(more).fields])
    expected = to_arrow_schema(schema, timezone="UTC").serialize().to_pybytes()
    make = ScoreMaker(work.task, tuple((constants or {}).values()), expected)
    reads = tuple(name for name, _ in work.sent)
    return MadeRows(files, reads, work.types(frame), make, schema.json(), work.words)


@dataclass(frozen=True)
class Scoring:
    """What a task scores: the columns that it is sent, by the name that they have in the table, and what it answers.

    `plain` where each of them is a column of the table as it is, so that files can be read for it. `words` are the
    columns of text that are sent as inputs and no more: the scorer looks each distinct word of a batch up once.
    """

    task: ScoreTask
    sent: list[tuple[str, Column]]
    schema: StructType
    plain: bool
    words: tuple[str, ...]

    def types(self, frame: DataFrame) -> dict[str, pa.DataType]:
        """Return the Arrow types of the columns that are sent, which those of `frame` are as they stand."""
        from synml_dagster.files.file_splits import arrow_types

        return arrow_types(frame, (name for name, _ in self.sent))


def scoring_of(
    frame: DataFrame,
    model: OnnxModel,
    *,
    keep: Sequence[str] | None,
    provider: str = "auto",
    options: Mapping[str, Any] | None = None,
    further: Further | None = None,
) -> Scoring:
    """Return how tasks score the rows of `frame`; the arguments are those of `score`."""
    options = options or {}
    local = Scorer(model, provider="cpu" if provider == "auto" else provider, **options)
    answers = local.schema if further is None else further.schema(local.schema)
    kept = _kept(frame, keep, answers.names)
    found, reason = _inputs(frame, model, local, lenient=options.get("bad_rows") == "mark")
    sent: list[tuple[str, Column]] = [(name, _col(name)) for name in kept]
    names: list[Place] = []
    plain = True
    places = {name: place for place, name in enumerate(kept)}
    for name, column, top in found:
        if top is not None and top in places:
            names.append(Place(name, places[top]))
            continue
        plain = plain and top is not None
        names.append(Place(name, len(sent)))
        sent.append((top or "", column))
    if reason is not None:
        plain = False
        sent.append(("", reason))
    task = ScoreTask(
        shipment=ship(frame.sparkSession, model),
        options=tuple((key, freeze(value)) for key, value in options.items() if value is not None),
        provider=provider,
        kept=tuple(kept),
        names=tuple(names),
        reason=None if reason is None else len(sent) - 1,
        further=further,
    )
    texts = {name for name, kind in frame.dtypes if kind == "string"}
    words = tuple(name for name, _ in sent[len(kept) :] if name in texts)
    return Scoring(task, sent, _answer_schema(frame, kept, answers), plain, words)


def can_have_bad_rows(data: DataFrame | ParquetFiles, model: OnnxModel, spark: SparkSession) -> bool:
    """Return whether any row of a table of these types could be one that a pipeline's model cannot score.

    Single numbers, words and times of the plan's own types always can be scored, missing ones too; then marking has
    nothing to find.

    Raises
    ------
    DataError
        Columns are missing, or of a type whose values are never the plan's.
    """
    from pyspark.sql import DataFrame

    planned = planned_columns(model)
    if planned is None or any(raw.storage in ("array", "vector") for raw in planned):
        return True
    from synml_dagster.columns.match import matched_or_converted

    frame = data if isinstance(data, DataFrame) else data.dataframe(spark)
    return bool(matched_or_converted(frame, planned)[1])


def split_bad_rows(scored: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Split what `score(..., bad_rows="mark")` returned into the scored rows and those set aside with their reason.

    Both read the same scoring: cache or write `scored` first where it should run once.
    """
    reason = _col(REASON)
    return scored.where(reason.isNull()).drop(REASON), scored.where(reason.isNotNull())


def _packed(
    frame: DataFrame, sent: list[tuple[str, Column]], task: ScoreTask
) -> tuple[list[tuple[str, Column]], ScoreTask]:
    """Send numbers of one type that are inputs only as one column of lists: Spark moves a list faster than its columns."""
    from pyspark.sql import functions as sf

    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    alike: dict[str, list[int]] = {}
    for i in range(len(task.kept), len(sent)):
        if (kind := types.get(sent[i][0])) in _PACKED:
            alike.setdefault(kind, []).append(i)
    lists = [members for members in alike.values() if len(members) > 1]
    if not lists:
        return sent, task
    within = {
        old: (number, place) for number, members in enumerate(lists) for place, old in enumerate(members)
    }
    alone = [i for i in range(len(sent)) if i not in within]
    moved = {old: new for new, old in enumerate(alone)}
    columns = [sent[i] for i in alone]
    columns += [(f"__list_{n}", sf.array(*(sent[i][1] for i in members))) for n, members in enumerate(lists)]
    names = [
        Place(place.name, len(alone) + within[place.column][0], within[place.column][1])
        if place.column in within
        else Place(place.name, moved[place.column])
        for place in task.names
    ]
    reason = None if task.reason is None else moved[task.reason]
    return columns, replace(task, names=tuple(names), reason=reason)


def _by_file_splits(frame: DataFrame, files: ParquetFiles, work: Scoring, tasks: int | None) -> DataFrame:
    from synml_dagster.files.file_splits import plan_file_splits
    from synml_dagster.files.mapping import map_splits
    from synml_dagster.spark import task_slots

    spark = frame.sparkSession
    splits = [split for split in plan_file_splits(files, tasks or task_slots(spark) or 8) if split.rows]
    return map_splits(
        spark,
        splits,
        [name for name, _ in work.sent],
        work.task.answered,
        work.schema,
        absent=work.types(frame),
        rows_at_once=_ROWS_A_BATCH,
        words=work.words,
    )


def read_as_dates(model: OnnxModel) -> set[str]:
    """Return the columns of text of which a pipeline's model reads dates."""
    return {raw.name for raw in planned_columns(model) or [] if raw.time_way is not None}


def unread_in(frame: DataFrame, model: OnnxModel, numbers: Collection[str] = ()) -> list[str]:
    """Return what is to be said of text in `frame` that a pipeline's model cannot read and takes for missing.

    `numbers` are the columns of text that its plan reads as numbers in the way of programs.

    Raises
    ------
    DataError
        Most values of a column are such.
    """
    from synml_dagster.columns.unread import unread

    return unread(frame, planned_columns(model) or [], numbers)


def _inputs(
    frame: DataFrame, model: OnnxModel, local: Scorer, lenient: bool
) -> tuple[list[tuple[str, Any, str | None]], Column | None]:
    """Return, per column that the model takes, its name, an expression, and the table's column where that is the same.

    Where columns of other types are read row by row, the reasons of the rows that hold what cannot be read come along.
    """
    planned = planned_columns(model)
    if planned is None:
        columns = frame.columns
        there = set(columns)
        for binding in local.bindings:
            for path in binding.columns:
                if path[0] not in there:
                    raise DataError(
                        f"The table has no column {path[0]!r}, which the model takes as input {binding.info.name!r}."
                        f"{did_you_mean(path[0], columns)}"
                    )
        return [(name, _col(name), name) for name in local.columns], None
    from pyspark.sql import functions as sf

    from synml_dagster.columns.match import matched, matched_or_converted

    here, others = matched_or_converted(frame, planned) if lenient else (matched(frame, planned), {})
    answer: list[tuple[str, Any, str | None]] = []
    for raw in here:
        same = (
            len(raw.path) == 1
            and raw.storage in _AS_IT_IS
            and not raw.spark_type.startswith("decimal")
            and not (raw.storage == "date" and raw.planned == "timestamp")
            and not (raw.storage == "integer" and raw.planned == "string" and raw.padded)
        )
        if raw.name in others:
            answer.append((raw.name, others[raw.name][0], None))
        elif same:
            answer.append((raw.name, _col(raw.path[0]), raw.path[0]))
        else:
            answer.append((raw.name, raw.value(), None))
    return answer, sf.coalesce(*(reason for _, reason in others.values())) if others else None


def _kept(frame: DataFrame, keep: Sequence[str] | None, answers: Sequence[str]) -> list[str]:
    columns = frame.columns
    there = set(columns)
    kept = list(columns if keep is None else keep)
    for name in kept:
        if name not in there:
            raise DataError(f"keep: the table has no column {name!r}.{did_you_mean(name, columns)}")
    folded = {name.casefold() for name in kept}
    for name in answers:
        if name.casefold() in folded:
            raise ConfigError(
                f"The table already has a column {name!r}, which the model answers. Name the columns to keep without it, or rename it."
            )
    return kept


def _answer_schema(frame: DataFrame, kept: list[str], answers: pa.Schema) -> StructType:
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    own = {field.name: field for field in frame.schema.fields}
    return StructType([*(own[name] for name in kept), *from_arrow_schema(answers).fields])


def _col(name: str) -> Column:
    from pyspark.sql import functions as sf

    return sf.col(quoted(name))
