"""A sensor that sees that a source has changed and asks for the run that the description names."""

import json
import time
from dataclasses import asdict, dataclass

import dagster as dg

from synml_dagster.automation.jobs import AssetJob
from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.partitions import PartitionsSpec, newest, run_for
from synml_dagster.resources import SparkResource
from synml_dagster.resources.reason import REASON_TAG
from synml_dagster.sources import Source
from synml_dagster.sources.settled import unsettled
from synml_dagster.sources.version import SOURCE_VERSION, source_version


def new_data_sensor(
    pipeline: str,
    spec: AutomationSpec,
    source: Source,
    reader: dg.AssetKey,
    job: AssetJob,
    partitions: PartitionsSpec | None = None,
    *,
    word: str = "new_data",
    partitions_back: int = 1,
) -> dg.SensorDefinition:
    """Return a sensor that asks for `job` when the version of `source` is not the one that `reader` last read.

    The version is what `reader` wrote on its last materialization, so that a run started by hand counts too; the
    cursor keeps the version last asked for, so that one change asks for one run even when that run fails, and a count
    of changes, so that a source which returns to an earlier version is a change again. Files are asked for once they
    have not changed for `settle_seconds`. A source that is gone or cannot be read fails the tick. With
    `partitions` the run is for the last `partitions_back` partitions of time that are over, or for all keys that there are, and it counts when those were read.
    The sensor is called `<pipeline>_<word>`.
    """

    @dg.sensor(
        name=f"{pipeline}_{word}",
        job=job,
        minimum_interval_seconds=spec.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if spec.running else dg.DefaultSensorStatus.STOPPED,
        description=f"Asks for {job.name} when {source.describe()} has changed.",
    )
    def new_data(context: dg.SensorEvaluationContext, spark: SparkResource) -> dg.SensorResult:
        # Files answer without Spark; a session is opened only for sources that no file tells about.
        version = source_version(source, spark.session if _needs_spark(source) else None)
        keys = newest(partitions, context, last=partitions_back) if partitions is not None else None
        last = _Asked.read(context.cursor)
        if keys == []:
            return last.skip("there is no partition yet")
        seen = _last_read(context, reader, keys)
        if version == seen:
            # Nothing is asked for any more: should a run that is on its way have read what was there in between, the
            # present version is a change again.
            return _Asked(None, last.changes).skip(f"{source.describe()} is unchanged (version {version})")
        if version == last.version:
            return last.skip(f"a run for version {version} was asked for already")
        why = unsettled(source, spec.settle_seconds, success=spec.wait_for_success)
        if why and not last.stood(version, spec):
            return last.waiting(version).skip(f"waiting: {why}")
        reason = f"{source.describe()} changed from version {seen or 'none'} to {version}"
        asked = last.next(version)
        run_key, tags = f"{pipeline}:{word}:{version}:{asked.changes}", {REASON_TAG: reason[:255]}
        request = run_for(keys, tags, run_key) if keys else dg.RunRequest(run_key=run_key, tags=tags)
        return dg.SensorResult(run_requests=[request], cursor=asked.written())

    return new_data


@dataclass(frozen=True)
class _Asked:
    """What the sensor's cursor holds.

    Attributes
    ----------
    version
        The version of the source that a run was last asked for.
    changes
        A number that each request raises: Dagster never starts two runs of one run key.
    pending, since
        A version that may be half written, and when it was first seen.
    """

    version: str | None
    changes: int
    pending: str | None = None
    since: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "_Asked":
        try:
            return cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            # None yet, reset by hand, or the bare version of earlier releases. A count that begins with the time
            # gives no run key that was there before.
            return cls(cursor or None, int(time.time()))

    def written(self) -> str:
        return json.dumps(asdict(self))

    def next(self, version: str) -> "_Asked":
        return _Asked(version, self.changes + 1)

    def waiting(self, version: str) -> "_Asked":
        since = self.since if self.pending == version else time.time()
        return _Asked(self.version, self.changes, version, since)

    def stood(self, version: str, spec: AutomationSpec) -> bool:
        """Whether this version has been seen unchanged for long enough, whatever the files' own clock says."""
        waited = time.time() - self.since
        return self.pending == version and waited >= max(spec.settle_seconds, 1) and not spec.wait_for_success

    def skip(self, reason: str) -> dg.SensorResult:
        return dg.SensorResult(skip_reason=reason, cursor=self.written())


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
