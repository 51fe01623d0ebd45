"""A sensor that sees that a source has changed and asks for the run that the description names."""

import json
import time
from dataclasses import asdict, dataclass, field, replace

import dagster as dg

from synml_dagster.automation.brakes import TRIGGER_TAG, held_back, under_way
from synml_dagster.automation.jobs import AssetJob
from synml_dagster.automation.new_partitions import Seen, changed_partitions, version_in
from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.automation.windows import windows_of
from synml_dagster.errors import SourceError
from synml_dagster.partitions import PartitionsSpec, newest, run_for
from synml_dagster.resources import SparkResource
from synml_dagster.resources.reason import REASON_TAG
from synml_dagster.sources import Source
from synml_dagster.sources.settled import unsettled
from synml_dagster.sources.version import source_version
from synml_dagster.upstream import Upstream, check_agreement, digest_of


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
    `partitions` the run is for all keys that there are, and it counts when those were read. Of partitions of time it is for the last `partitions_back`
    that are over, with all that came since the newest that was asked for or read: each of them is asked for once, whether or not the source
    has changed since. The sensor is called `<pipeline>_<word>`.

    Of a source that is an asset the version is that of its last materialization. Where it has the pipeline's partitions, each of them has its
    own, and a run is for those that changed and follow each other, the newest first; further ones are asked for once it has ended.
    """
    tags = {"synml/pipeline": pipeline, "synml/job": job.name.removeprefix(f"{pipeline}_")}

    @dg.sensor(
        name=f"{pipeline}_{word}",
        job=job,
        minimum_interval_seconds=spec.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if spec.running else dg.DefaultSensorStatus.STOPPED,
        description=f"Asks for {job.name} when {source.describe()} has changed.",
    )
    def new_data(context: dg.SensorEvaluationContext, spark: SparkResource) -> dg.SensorResult:
        if source.asset:
            upstream = Upstream(context, source)
            try:
                there = upstream.partitions
            except SourceError as absent:
                if not upstream.known:
                    raise
                return dg.SensorResult(skip_reason=f"waiting: {absent}", cursor=context.cursor)
            if partitions is not None and there is not None:
                return by_partition(context, upstream, partitions)
            version = upstream.version()
        else:
            # Files answer without Spark; a session is opened only for sources that no file tells about.
            version = source_version(source, spark.session if _needs_spark(source) else None)
        last = _Asked.read(context.cursor)
        windows, keys = None, None
        if partitions is not None and partitions.of_time is not None:
            last = last.under(partitions.cut)
            windows = windows_of(context, partitions, reader, last.upto, last.left)
            if windows is not None:
                last = replace(last, upto=windows.end, left=windows.waiting)
            keys = windows.last(partitions_back) if windows is not None else []
        elif partitions is not None:
            keys = newest(partitions, context)
        if keys == []:
            return last.skip("there is no partition yet")
        seen = _last_read(context, reader, keys)
        changed = version not in (seen, last.version)
        if not changed and not last.left:
            if version == seen:
                # Nothing is asked for any more: should a run that is on its way have read what was there in between, the
                # present version is a change again.
                unchanged = f"{source.describe()} is unchanged (version {version})"
                return replace(last, version=None, pending=None, since=0.0).skip(unchanged)
            return last.skip(f"a run for version {version} was asked for already")
        why = None if source.asset else unsettled(source, spec.settle_seconds, success=spec.wait_for_success)
        if why and not last.stood(version, spec):
            return last.waiting(version).skip(f"waiting: {why}")
        if word == "new_data" and (why := braked(context)):
            return last.skip(f"not yet, because {why}")
        before = seen or _last_read(context, reader, None)
        reason = f"{source.describe()} changed from version {before or 'none'} to {version}"
        asked = last.next(version)
        if windows is not None:
            keys, left = windows.for_one_run(partitions_back, changed=changed)
            if windows.partitions[keys[-1]] != windows.end and (why := under_way(context.instance, tags)):
                return last.skip(f"not yet, because {why}. {_named(keys)} were never read")
            asked = replace(asked, left=left)
            if version in (before, last.version):
                reason = f"{_named(keys)} of {source.describe()} are over (version {version})"
        run_key, said = f"{pipeline}:{word}:{version}:{asked.changes}", {REASON_TAG: reason[:255]}
        said |= {TRIGGER_TAG: word}
        request = run_for(keys, said, run_key) if keys else dg.RunRequest(run_key=run_key, tags=said)
        return dg.SensorResult(run_requests=[request], cursor=asked.written())

    def braked(context: dg.SensorEvaluationContext) -> str | None:
        return held_back(context.instance, tags, spec.new_data, [word], "automation.new_data")

    def by_partition(
        context: dg.SensorEvaluationContext, upstream: Upstream, cut: PartitionsSpec
    ) -> dg.SensorResult:
        check_agreement(upstream.key, upstream.definition, cut)
        seen = Seen.read(context.cursor)
        found = changed_partitions(context, upstream, reader, cut, seen)
        if not found.keys:
            return dg.SensorResult(
                skip_reason=f"{source.describe()} is unchanged in all partitions that it has",
                cursor=found.after.written(),
            )
        said = f"{source.describe()} has materialized {_named(found.keys)}"
        # One at a time, the brakes aside: what is left of this change is asked for next.
        why = braked(context) or under_way(context.instance, tags)
        if why:
            return dg.SensorResult(skip_reason=f"not yet, because {why}. {said}", cursor=context.cursor)
        now = digest_of({key: found.versions[key] for key in found.keys})
        request = run_for(
            found.keys,
            {REASON_TAG: said[:255], TRIGGER_TAG: word},
            f"{pipeline}:{word}:{now}:{found.after.changes}",
        )
        return dg.SensorResult(run_requests=[request], cursor=found.after.written())

    return new_data


def _named(keys: list[str]) -> str:
    return f"{keys[0]!r}" if len(keys) == 1 else f"{len(keys)} partitions, {keys[0]!r} to {keys[-1]!r}"


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
    upto
        The newest window of time that was looked at; None in cursors of earlier releases.
    left
        Windows up to that one that are still to be asked for.
    cut
        How time was cut then: days and weeks have keys of one form.
    """

    version: str | None
    changes: int
    pending: str | None = None
    since: float = 0.0
    upto: str | None = None
    left: list[str] = field(default_factory=list)
    cut: str = ""

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
        return replace(self, version=version, changes=self.changes + 1, pending=None, since=0.0)

    def under(self, cut: str) -> "_Asked":
        """Forget windows that were looked at when time was cut otherwise."""
        return self if self.cut == cut else replace(self, upto=None, left=[], cut=cut)

    def waiting(self, version: str) -> "_Asked":
        since = self.since if self.pending == version else time.time()
        return replace(self, pending=version, since=since)

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
        return version_in(event.asset_materialization if event else None)
    found = set()
    for key in keys:
        latest = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=reader, asset_partitions=[key]), limit=1
        ).records
        found.add(version_in(latest[0].asset_materialization if latest else None))
    return found.pop() if len(found) == 1 else None
