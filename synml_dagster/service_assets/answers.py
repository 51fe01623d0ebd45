"""`answers`: the rows of a source with a column of answers from a service."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.stage import (
    check_apart,
    clearly,
    figure,
    markdown_table,
    outcome,
    reads_from,
    version_read,
)
from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.io_managers.last_output import last_types
from synml_dagster.resources import SparkResource
from synml_dagster.service_assets.batch import journal_of
from synml_dagster.services import Answers, Report, Service, batches, call_service
from synml_dagster.services.engine.outcome import REASONS
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables import MarkedRows
from synml_dagster.upstream import reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.service_assets.description import Description

CHECK = "errors"


def build_answers(column: "Description") -> dg.AssetsDefinition:
    """Return the asset that asks a service about the rows of a source."""
    service = column.described()
    place: dict[str, Any] = {"plain_folder": True} | ({"root": column.path} if column.path else {})

    @dg.asset(
        key=[column.name, "answers"],
        group_name=column.name,
        description=f"The rows of {column.source.describe()}, with answers of {service.name} as the column {column.output}.",
        kinds={"spark", "parquet", str(column.service.get("type", "http")).partition(".")[0]},
        tags={"synml/service": column.name},
        deps=[
            reads_from(column.source, dg.AssetKey([column.name, "source"])),
            *([dg.AssetKey([column.name, "batch"])] if column.batch else []),
        ],
        io_manager_key="spark_tables",
        metadata=place,
        # Changed parameters mean other answers, and Dagster says so.
        code_version=_code_version(service),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=[column.name, "answers"],
                description=f"At most {column.errors.at_most:.3g} of the distinct inputs ended with an error.",
                blocking=True,
            )
        ],
    )
    @clearly
    def answers(
        context: dg.AssetExecutionContext, spark: SparkResource, spark_tables: dg.ResourceParam[Any]
    ) -> Iterator[Any]:
        session, reached = spark.session, reach(context, column.source)
        for where in reached.sources:
            check_apart(where, "source", column.path)
        told: dict[str, Any] = {"source": column.source.describe()} | version_read(
            context, reached, session, dg.AssetKey([column.name, "answers"])
        )
        notes: list[str] = []
        known = last_types(spark_tables, column.name, "answers")
        frame = reached.open(session, known=known, notes=notes).whole
        for note in notes:
            context.log.warning(f"source: {note}")
        if notes:
            told["source notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))
        kept = _kept(frame.columns, column.keep)
        asked = _asked(frame, service, column)
        report = asked.report
        context.log.info(
            f"{report.sent} of {report.distinct} distinct inputs were sent, in {report.calls} requests"
        )
        if report.distinct and report.failed + report.waiting == report.distinct:
            raise DataError(_none_answered(asked, column.output))
        yield dg.Output(_marked(asked, kept, column), metadata=told | described_run(report))
        share, most = report.share_of_errors, column.errors.at_most
        waiting = f"; {report.waiting} wait for their batch" if report.waiting else ""
        yield outcome(
            CHECK,
            share <= most,
            f"{report.failed} of {report.distinct} distinct inputs ended with an error, {share:.3g} of them; {most:.3g} are borne{waiting}",
            metadata={"share": figure(share), "errors": report.failed}
            | ({"reasons": _reasons(report)} if report.reasons else {}),
        )

    return answers


def _code_version(service: Service) -> str | None:
    """Return the fingerprint; a model whose files are not here yet fails its step, and not the whole graph."""
    try:
        return service.fingerprint()
    except ConfigError:
        return None


def _asked(frame: "DataFrame", service: Service, column: "Description") -> Answers:
    told: dict[str, Any] = {
        "output": column.output, "journal": journal_of(column), "input": column.input, "key": column.key, "usage": column.usage,
    }  # fmt: skip
    if column.batch is not None:
        return batches.collect(
            frame,
            service,
            discount=column.batch.discount,
            window=column.batch.window,
            budget=column.budget,
            **told,
        )
    return call_service(
        frame, service, deadline=column.deadline, budget=column.budget, senders=column.senders, **told
    )


def described_run(report: Report) -> dict[str, Any]:
    """Return a run in numbers as an asset's metadata."""
    told: dict[str, Any] = {
        "rows": report.rows, "distinct inputs": report.distinct, "deduplicated": report.deduplicated, "resumed": report.resumed,
        "calls": report.calls, "retried": report.retried, "429s": report.throttled, "errors": report.failed,
        "share of errors": figure(report.share_of_errors), "requests a minute": figure(report.requests_per_minute),
        "seconds of sending": figure(report.sending_seconds),
    }  # fmt: skip
    if report.waiting:
        told["waiting for a batch"] = report.waiting
    if report.of_quota is not None:
        told["rate reached / quota"] = figure(report.of_quota)
    if report.p50 is not None and report.p95 is not None:
        told |= {"p50 seconds": figure(report.p50), "p95 seconds": figure(report.p95)}
    if report.input_tokens or report.output_tokens:
        told |= {
            "tokens in": report.input_tokens,
            "tokens out": report.output_tokens,
            "tokens cached": report.cached_tokens,
        }
    if report.cost:
        told["cost"] = figure(report.cost)
    if report.reasons:
        told["reasons of errors"] = _reasons(report)
    return told


def _marked(asked: Answers, kept: list[str], column: "Description") -> MarkedRows:
    """Rows with an error go to a table of their own, with what was said about them."""
    from pyspark.sql import functions as sf

    error, reason = f"{column.output}_error", f"{column.output}_reason"
    field = sf.col(quoted(error))
    status = sf.when(
        field["status"].isNotNull(), sf.concat(sf.lit(" (HTTP "), field["status"].cast("string"), sf.lit(")"))
    )
    said = sf.when(field.isNotNull(), sf.concat(field["reason"], sf.coalesce(status, sf.lit(""))))
    frame = asked.frame.withColumn(reason, said)
    usage = [f"{column.output}_usage"] if column.usage else []
    return MarkedRows(frame, reason, columns=(*kept, column.output, *usage), aside=(*kept, error, *usage))


def _kept(columns: list[str], keep: list[str] | None) -> list[str]:
    for name in keep or []:
        if name not in columns:
            raise ConfigError(f"keep: the table has no column {name!r}.{did_you_mean(name, columns)}")
    return columns if keep is None else keep


def _none_answered(asked: Answers, output: str) -> str:
    report = asked.report
    reason, _ = max(report.reasons.items(), key=lambda told: told[1])
    first = (
        asked.frame.where(f"{quoted(f'{output}_error')}.reason = '{reason}'")
        .select(f"{quoted(f'{output}_error')}.message")
        .first()
    )
    said = f" The service said: {first[0]}" if first is not None and first[0] else ""
    return f"service: none of {report.distinct} distinct inputs got an answer; the table of before stays. Most often: {REASONS.get(reason, reason)}.{said}"


def _reasons(report: Report) -> dg.MarkdownMetadataValue:
    return markdown_table(
        ("reason", "inputs", "means"),
        ((name, count, REASONS.get(name, "")) for name, count in report.reasons.items()),
    )
