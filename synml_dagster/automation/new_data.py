"""A sensor that sees that a source has changed and asks for the run that the description names."""

import dagster as dg

from synml_dagster.automation.jobs import REASON_TAG, AssetJob
from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.errors import SynmlError
from synml_dagster.resources import SparkResource
from synml_dagster.spark.source import SOURCE_VERSION, Source, source_version


def new_data_sensor(
    pipeline: str,
    spec: AutomationSpec,
    source: Source,
    reader: dg.AssetKey,
    job: AssetJob,
) -> dg.SensorDefinition:
    """Return a sensor that asks for `job` when the version of `source` is not the one that `reader` last read.

    The version is what `reader` wrote on its last materialization, so that a run started by hand counts too; the
    cursor keeps the version last asked for, so that one change asks for one run even when that run fails.
    """

    @dg.sensor(
        name=f"{pipeline}_new_data",
        job=job,
        minimum_interval_seconds=spec.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for {job.name} when {source.describe()} has changed.",
    )
    def new_data(
        context: dg.SensorEvaluationContext, spark: SparkResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            # Files answer without Spark; a session is opened only for sources that no file tells about.
            version = source_version(source, spark.session if _needs_spark(source) else None)
        except SynmlError as problem:
            return dg.SkipReason(f"{problem}")
        seen = _last_read(context, reader)
        if version == seen:
            return dg.SkipReason(f"{source.describe()} is unchanged (version {version})")
        if version == context.cursor:
            return dg.SkipReason(f"a run for version {version} was asked for already")
        reason = f"{source.describe()} changed from version {seen or 'none'} to {version}"
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"{pipeline}:{version}", tags={REASON_TAG: reason[:255]})],
            cursor=version,
        )

    return new_data


def _needs_spark(source: Source) -> bool:
    return bool(source.version_query) or not source.path


def _last_read(context: dg.SensorEvaluationContext, reader: dg.AssetKey) -> str | None:
    event = context.instance.get_latest_materialization_event(reader)
    found = (
        event.asset_materialization.metadata.get(SOURCE_VERSION)
        if event and event.asset_materialization
        else None
    )
    return str(found.value) if found is not None else None
