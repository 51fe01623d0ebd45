"""A column of answers on Spark, classic or Connect: equal inputs once, finished ones never again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError
from synml_dagster.services.answers.schema import spark_type
from synml_dagster.services.bounds import Bounds
from synml_dagster.services.description import Budget, Key, Limits, Policy, Service
from synml_dagster.services.inputs import check_keys, input_columns, key_of, wanted_rows
from synml_dagster.services.journal.writing import Writing
from synml_dagster.services.outputs import check_outputs, joined_rows
from synml_dagster.services.run import Run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.services.report import Report


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
    columns = input_columns(frame, service, input)
    check_outputs(frame, output, usage)
    limits = limits or service.limits
    bounds = Bounds(service, limits, budget, senders, journal, value_type(service))
    bounds.check(frame.sparkSession)
    row_key = key_of(columns)
    wanted = wanted_rows(frame, columns, row_key)
    check_keys(service, wanted, list(columns))
    if service.index is not None:
        from synml_dagster.services.azure.search_index import ensure_index

        kinds = [field["type"] for field in wanted.schema.jsonValue()["fields"][1:]]
        ensure_index(service, dict(zip(columns, kinds, strict=True)))
    writing = Writing(journal, service, wanted) if service.writes else None
    if writing is not None:
        bounds = replace(bounds, journal=writing.folder)
    run = Run(frame.sparkSession, bounds, _run_id())
    if writing is not None:
        writing.begin(run.schema)
    report = run.send(wanted, tuple(columns))
    if writing is not None:
        writing.end(report)
    return Answers(joined_rows(frame, row_key, run, output, usage), report)


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
        return joined_rows(self.frame, self.row_key, self.run, output, usage)


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
    columns = input_columns(frame, service, input)
    if output is not None:
        check_outputs(frame, output, usage)
    row_key = key_of(columns)
    bounds = Bounds(service, service.limits, None, 1, journal, value_type(service))
    run = Run(frame.sparkSession, bounds, _run_id())
    return Opened(service, run, wanted_rows(frame, columns, row_key), tuple(columns), frame, row_key)


def _run_id() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


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
