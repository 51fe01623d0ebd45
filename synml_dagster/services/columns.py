"""A column of answers on Spark, classic or Connect: equal inputs once, finished ones never again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.services.answers.schema import spark_type
from synml_dagster.services.description import Budget, Key, Limits, Policy, Service
from synml_dagster.services.engine.outcome import REASONS
from synml_dagster.services.journal.writing import Writing
from synml_dagster.services.run import Run, Sending
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.services.report import Report

_JSON = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
"""How rows are written for their keys: times to the microsecond, so that no two that differ are one."""

ERROR = "struct<reason:string,status:int,message:string,attempts:int,request_id:string>"
"""The type of the column of errors."""

USAGE = "struct<input_tokens:bigint,output_tokens:bigint,cached_tokens:bigint,cost:double>"
"""The type of the column of usage."""


_KEY, _VALUE, _ERROR, _USAGE = "__synml_key", "__synml_value", "__synml_error", "__synml_usage"


@dataclass(frozen=True)
class Answers:
    """What a run has got: the rows with their answers, and what it took.

    Attributes
    ----------
    frame
        The rows, with the columns `<output>` and `<output>_error`, of which exactly one is null, and `<output>_usage` where it
        was asked for. Nothing is sent when it is read, however often.
    report
        Rows, calls, tokens, cost and the like.
    """

    frame: DataFrame
    report: Report


def call_service(
    frame: DataFrame,
    service: Service,
    *,
    output: str,
    journal: str,
    input: str | Mapping[str, str] | None = None,
    key: str | Key | None = None,
    limits: Limits | None = None,
    policy: Policy | None = None,
    deadline: float | None = None,
    budget: Budget | None = None,
    senders: int = 1,
    usage: bool = False,
) -> Answers:
    """Ask a service about the rows of a table; return them with a column of answers.

    The requests are sent by this call, once for each distinct input, and the answers are kept in the journal. A further call
    sends only what has no answer there: rows that are new, that had an error, or that were in flight when a run was killed. Where
    requests change what the service holds (`service.writes`), that is so until all rows are written; the next call sends all of
    them again, and what an earlier one returned can then be read no more.

    Parameters
    ----------
    frame
        The rows; a batch, not a stream.
    service
        What is asked, such as `openai.chat(...)`, `azure.service(...)` or a description of your own.
    output
        Name of the column of answers; `<output>_error` holds the errors.
    journal
        Folder of finished answers, which this process and Spark's workers reach: on a disk that they share, or an object store.
    input
        Which columns the service's inputs are taken from: input -> column, or the column where there is one input. By default they
        have the inputs' names.
    key
        The environment variable that holds the key, where the service names none or another one.
    limits
        What is granted to this key, for all senders together; the service's own where absent.
    policy
        What is tried again and for how long; the service's own where absent.
    deadline
        Seconds after which the run stops sending, in place of the policy's. Rows that are left have an error and are sent by the
        next run.
    budget
        The most that this run may spend; the next one goes on from there.
    senders
        Spark tasks that send side by side and share the limits. One task keeps hundreds of requests in flight.
    usage
        Whether to add `<output>_usage`: tokens and cost of each row.

    Raises
    ------
    ConfigError
        A column, an input or a key is not there, or settings do not go together. Nothing was sent.
    SetupError
        The journal cannot be written, or another run writes to it.

    Examples
    --------
    >>> from synml_dagster.services import call_service, openai
    >>> asked = openai.chat(model="gpt-5-mini", prompt="Is this review positive? {text}")
    >>> answers = call_service(reviews, asked, output="positive", journal="/data/journal")  # doctest: +SKIP
    >>> answers.frame.show()  # doctest: +SKIP
    """
    service = _with(service, key, policy, deadline)
    columns = _columns(frame, service, input)
    _check_outputs(frame, output, usage)
    limits = limits or service.limits
    sending = Sending(service, limits, budget, senders, journal, value_type(service))
    sending.check(frame.sparkSession)
    row_key = _row_key(columns)
    wanted = _wanted(frame, columns, row_key)
    _check_keys(service, wanted, list(columns))
    writing = Writing(journal, service, wanted) if service.writes else None
    if writing is not None:
        sending = replace(sending, journal=writing.folder)
    run = Run(frame.sparkSession, sending, _run_id())
    if writing is not None:
        writing.begin(run.schema)
    report = run.send(wanted, tuple(columns))
    if writing is not None:
        writing.end(report)
    return Answers(_joined(frame, row_key, run, output, usage), report)


@dataclass(frozen=True)
class Opened:
    """The rows of a table as a run of a service sees them, where other hands send them.

    Attributes
    ----------
    service
        What is asked, with the key that was named.
    run
        Its place in the journal.
    wanted
        The rows' keys, and the inputs' columns in the order of `inputs`.
    """

    service: Service
    run: Run
    wanted: DataFrame
    inputs: tuple[str, ...]
    frame: DataFrame
    row_key: Column

    def joined(self, output: str, usage: bool) -> DataFrame:
        """Return the rows with what the journal and the run's ledger say about them."""
        return _joined(self.frame, self.row_key, self.run, output, usage)


def opened(
    frame: DataFrame,
    service: Service,
    *,
    journal: str,
    input: str | Mapping[str, str] | None,
    key: str | Key | None,
    output: str | None = None,
    usage: bool = False,
) -> Opened:
    """Return the rows of a table as a run sees them; nothing is sent.

    Raises
    ------
    ConfigError
        A column, or an input, is not there.
    """
    service = _with(service, key, None, None)
    columns = _columns(frame, service, input)
    if output is not None:
        _check_outputs(frame, output, usage)
    row_key = _row_key(columns)
    sending = Sending(service, service.limits, None, 1, journal, value_type(service))
    run = Run(frame.sparkSession, sending, _run_id())
    return Opened(service, run, _wanted(frame, columns, row_key), tuple(columns), frame, row_key)


def _run_id() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def _wanted(frame: DataFrame, columns: Mapping[str, Column], row_key: Column) -> DataFrame:
    return frame.select(
        row_key.alias("key"), *(column.alias(f"i{i}") for i, column in enumerate(columns.values()))
    )


def value_type(service: Service) -> str:
    """Return Spark's type of a service's answers.

    Examples
    --------
    >>> from synml_dagster.services import Service
    >>> value_type(Service(name="x", url="https://x.example.org", answer={"type": "double"}))
    'double'
    """
    schema = service.answer.json_schema
    return service.answer.type if schema is None else spark_type(schema)


def _with(service: Service, key: str | Key | None, policy: Policy | None, deadline: float | None) -> Service:
    """Return the service with the settings of this call in place of its own."""
    changes: dict[str, Any] = {}
    if key is not None:
        changes["key"] = (key if isinstance(key, Key) else _validated(Key, key)).over(service.key)
    if policy is not None or deadline is not None:
        told = (policy or service.policy).model_dump()
        if deadline is not None:
            told["deadline"] = deadline
            for name in (
                "timeout",
                "row_deadline",
            ):  # those of a service give way to a shorter run; those of a caller do not
                if policy is None and told[name] and told[name] > deadline:
                    told[name] = None
        changes["policy"] = _validated(Policy, told)
    return service.model_copy(update=changes)


def _validated(kind: Any, told: Any) -> Any:
    from pydantic import ValidationError

    from synml_dagster.services.description.service import plain_problems

    try:
        return kind.model_validate(told)
    except ValidationError as problem:
        raise ConfigError(f"{kind.__name__.lower()}: {plain_problems(problem)}") from None


def _columns(frame: DataFrame, service: Service, given: str | Mapping[str, str] | None) -> dict[str, Column]:
    """Return the service's inputs as columns of the table."""
    from pyspark.sql import functions as sf

    if frame.isStreaming:
        raise ConfigError("services: the rows are a stream; ask about each of its batches, in foreachBatch")
    inputs = service.inputs
    if not inputs:
        raise ConfigError(
            f"{service.name}: its description names no column, so every row would get the same answer"
        )
    if isinstance(given, str):
        if len(inputs) != 1:
            raise ConfigError(
                f"{service.name}: it takes {', '.join(inputs)}; say input: {{{inputs[0]}: {given}, ...}}"
            )
        given = {inputs[0]: given}
    taken = {name: name for name in inputs} | dict(given or {})
    for name in taken:
        if name not in inputs:
            raise ConfigError(
                f"{service.name}: it has no input {name!r}; it takes {', '.join(inputs)}.{did_you_mean(name, inputs)}"
            )
    fields = {field.name: field for field in frame.schema.fields}
    found = {}
    for name, column in taken.items():
        if column not in fields:
            raise ConfigError(
                f"{service.name}: the table has no column {column!r}, which its input {name!r} takes; it has {', '.join(frame.columns[:20])}."
                f"{did_you_mean(column, frame.columns)}"
            )
        if refused := _unsendable(fields[column].dataType.jsonValue()):
            raise DataError(
                f"{service.name}: column {column!r} holds {refused}, which no request can hold; turn it into text first"
            )
        found[name] = sf.col(quoted(column))
    return found


def _unsendable(kind: Any) -> str | None:
    """Return the part of a type, as its schema's JSON, that no request can hold."""
    if isinstance(kind, str):
        good = (
            "string",
            "binary",
            "boolean",
            "byte",
            "short",
            "integer",
            "long",
            "float",
            "double",
            "date",
            "timestamp",
            "timestamp_ntz",
        )
        return None if kind in good or kind.startswith(("decimal", "varchar", "char")) else kind
    if kind["type"] == "array":
        return _unsendable(kind["elementType"])
    if kind["type"] == "struct":
        return next((bad for field in kind["fields"] if (bad := _unsendable(field["type"]))), None)
    return str(kind.get("class") or kind["type"])


def _check_outputs(frame: DataFrame, output: str, usage: bool) -> None:
    names = [output, f"{output}_error", *([f"{output}_usage"] if usage else [])]
    there = {name.casefold() for name in frame.columns}
    for name in names:
        if name.casefold() in there:
            raise ConfigError(
                f"output: the table has a column {name!r} already; choose another name, or leave that column out"
            )


def _check_keys(service: Service, wanted: DataFrame, inputs: list[str]) -> None:
    """Refuse two different rows that would be one document: which of them came last would be chance."""
    from pyspark.sql import functions as sf

    column = service.documents.key_column if service.documents else None
    if column is None:
        return
    name = f"i{inputs.index(column)}"
    several = wanted.groupBy(name).agg(sf.count_distinct("key").alias("rows")).where("rows > 1")
    found = several.where(sf.col(name).isNotNull()).orderBy(name).limit(3).collect()
    if found:
        raise DataError(
            f"{service.name}: several different rows have the same {column!r}, such as {', '.join(repr(row[0]) for row in found)}; "
            "each document has one row. Leave one of them."
        )


def _row_key(columns: Mapping[str, Column]) -> Column:
    """The key of a row: what its inputs are, in 128 bits. The service and its parameters are the journal's folder."""
    from pyspark.sql import functions as sf

    text = sf.to_json(sf.struct(*(column.alias(f"i{i}") for i, column in enumerate(columns.values()))), _JSON)
    names = json.dumps(list(columns), ensure_ascii=False)
    return sf.substring(sf.sha2(sf.concat(sf.lit(names), text), 256), 1, 32)


def _joined(frame: DataFrame, row_key: Column, run: Run, output: str, usage: bool) -> DataFrame:
    from pyspark.sql import functions as sf

    taken = {name.casefold() for name in frame.columns}
    own = next(name for name in (f"__service_key{i}" for i in range(len(taken) + 1)) if name not in taken)
    keyed = frame.withColumn(own, row_key)
    usage_of = sf.struct("input_tokens", "output_tokens", "cached_tokens", "cost").cast(USAGE)
    done = run.answers().select(
        sf.col("key").alias(_KEY),
        sf.col("value").alias(_VALUE),
        sf.lit(None).cast(ERROR).alias(_ERROR),
        usage_of.alias(_USAGE),
    )
    said = sf.struct("reason", "status", "message", "attempts", "request_id").cast(ERROR)
    nothing = sf.lit(None).cast(done.schema[_VALUE].dataType)
    failed = run.ledger().where("reason IS NOT NULL")
    failed = failed.select(
        sf.col("key").alias(_KEY), nothing.alias(_VALUE), said.alias(_ERROR), usage_of.alias(_USAGE)
    )
    both = keyed.join(done.union(failed), sf.col(quoted(own)) == sf.col(_KEY), "left")
    lost = sf.struct(
        sf.lit("not_sent").alias("reason"), sf.lit(None).cast("int").alias("status"), sf.lit(REASONS["not_sent"]).alias("message"),
        sf.lit(0).alias("attempts"), sf.lit(None).cast("string").alias("request_id"),
    ).cast(ERROR)  # fmt: skip
    error = sf.when(sf.col(_KEY).isNull(), lost).otherwise(sf.col(_ERROR))
    more = [sf.col(_USAGE).alias(f"{output}_usage")] if usage else []
    kept = [sf.col(quoted(name)) for name in frame.columns]
    return both.select(*kept, sf.col(_VALUE).alias(output), error.alias(f"{output}_error"), *more)
