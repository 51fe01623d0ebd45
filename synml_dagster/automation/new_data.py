"""A sensor that sees that a source has changed and asks for the run that the description names."""

import dagster as dg

from synml_dagster.automation.jobs import REASON_TAG, AssetJob
from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.errors import SynmlError
from synml_dagster.partitions import PartitionsSpec, newest, run_for
from synml_dagster.resources import SparkResource
from synml_dagster.spark.source import Source
from synml_dagster.spark.source_version import SOURCE_VERSION, source_version


def new_data_sensor(
    pipeline: str,
    spec: AutomationSpec,
    source: Source,
    reader: dg.AssetKey,
    job: AssetJob,
    partitions: PartitionsSpec | None = None,
) -> dg.SensorDefinition:
    """Return a sensor that asks for `job` when the version of `source` is not the one that `reader` last read.

    The version is what `reader` wrote on its last materialization, so that a run started by hand counts too; the
    cursor keeps the version last asked for, so that one change asks for one run even when that run fails. With
    `partitions` the run is for the last whole day, or for all keys that there are, and it counts when those were read.
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
        keys = newest(partitions, context) if partitions is not None else None
        if keys == []:
            return dg.SkipReason("there is no partition yet")
        seen = _last_read(context, reader, keys)
        if version == seen:
            return dg.SkipReason(f"{source.describe()} is unchanged (version {version})")
        if version == context.cursor:
            return dg.SkipReason(f"a run for version {version} was asked for already")
        reason = f"{source.describe()} changed from version {seen or 'none'} to {version}"
        run_key, tags = f"{pipeline}:{version}", {REASON_TAG: reason[:255]}
        request = run_for(keys, tags, run_key) if keys else dg.RunRequest(run_key=run_key, tags=tags)
        return dg.SensorResult(run_requests=[request], cursor=version)

    return new_data


def _needs_spark(source: Source) -> bool:
    return bool(source.version_query) or not source.path


def _last_read(
    context: dg.SensorEvaluationContext, reader: dg.AssetKey, keys: list[str] | None
) -> str | None:
    """The version that `reader` last read; None where its partitions `keys` have not all read the same one."""
    if keys is None:
        event = context.instance.get_latest_materialization_event(reader)
        return _version_in(event.asset_materialization if event else None)
    found = set()
    for key in keys:
        latest = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=reader, asset_partitions=[key]), limit=1
        ).records
        found.add(_version_in(latest[0].asset_materialization if latest else None))
    return found.pop() if len(found) == 1 else None


def _version_in(made: dg.AssetMaterialization | None) -> str | None:
    version = made.metadata.get(SOURCE_VERSION) if made is not None else None
    return str(version.value) if version is not None else None
