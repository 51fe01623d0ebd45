"""`batch`: rows that have no answer go to OpenAI's Batch API; a sensor asks how far the batches are, and has the answers fetched."""

import hashlib
import time
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.stage import clearly, figure, markdown_table, reads_from
from synml_dagster.io_managers.last_output import last_types
from synml_dagster.resources import DataDirectory, SparkResource
from synml_dagster.services import batches
from synml_dagster.services.batches.records import ENDED
from synml_dagster.upstream import reach

if TYPE_CHECKING:
    from synml_dagster.service_assets.description import Description


def journal_of(column: "Description") -> str:
    """Return the folder of a column's finished answers."""
    return column.journal or DataDirectory().path(column.name, "journal")


def build_batch(column: "Description") -> dg.AssetsDefinition:
    """Return the asset that submits rows."""
    service, told = column.described(), column.batch
    assert told is not None

    @dg.asset(
        key=[column.name, "batch"],
        group_name=column.name,
        description=f"Rows of {column.source.describe()} that have no answer yet, as batches of {service.name}.",
        kinds={"openai"},
        tags={"synml/service": column.name},
        deps=[reads_from(column.source, dg.AssetKey([column.name, "source"]))],
        code_version=service.fingerprint(),
    )
    @clearly
    def batch(
        context: dg.AssetExecutionContext, spark: SparkResource, spark_tables: dg.ResourceParam[Any]
    ) -> dg.MaterializeResult:
        notes: list[str] = []
        known = last_types(spark_tables, column.name, "answers")
        frame = reach(context, column.source).open(spark.session, known=known, notes=notes).whole
        for note in notes:
            context.log.warning(f"source: {note}")
        sent = batches.submit(
            frame, service, journal=journal_of(column), input=column.input, key=column.key, window=told.window, most_requests=told.requests,
            budget=column.budget, discount=told.discount,
        )  # fmt: skip
        context.log.info(
            f"{sent.requests} of {sent.distinct} distinct inputs were submitted, in {len(sent.batches)} batches"
        )
        return dg.MaterializeResult(
            metadata={
                "rows": sent.rows, "distinct inputs": sent.distinct, "answered before": sent.finished, "in batches of before": sent.waiting,
                "submitted": sent.requests, "cannot be sent": sent.rejected, "left by the budget": sent.left,
                "tokens at most": sent.expected_tokens, "cost at most": figure(sent.expected_cost),
                "batches": markdown_table(("batch", "requests"), ((str(one.batch), one.requests) for one in sent.batches)),
            }
        )  # fmt: skip

    return batch


def build_sensor(column: "Description") -> dg.SensorDefinition:
    """Return the sensor that has the answers fetched once all batches have ended."""
    service, told = column.described(), column.batch
    assert told is not None

    @dg.sensor(
        name=f"{column.name}_batches",
        target=dg.AssetSelection.assets([column.name, "answers"]),
        minimum_interval_seconds=int(told.poll),
        description="Asks how far the batches are, and fetches the answers once all have ended.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        found = batches.look(service, journal=journal_of(column), key=column.key)
        if not found:
            return dg.SkipReason("No batch is waited for.")
        if running := [one for one in found if one.status not in ENDED]:
            said = ", ".join(f"{one.batch} is {one.status}" for one in running[:5])
            return dg.SkipReason(f"{len(running)} of {len(found)} batches are at work: {said}.")
        # A run that fails to fetch them is asked for again, an hour later.
        names = (
            f"{time.strftime('%Y%m%d%H', time.gmtime())} {' '.join(sorted(str(one.batch) for one in found))}"
        )
        digest = hashlib.sha256(names.encode()).hexdigest()[:32]
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{column.name}-{digest}")])

    return sensor
