"""Sensors that ask for a retraining: a check keeps failing, or the last training is long ago.

They read what Dagster has recorded and open no Spark session, so that they can be tried in the UI at no cost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from synml_dagster.automation.brakes import TRIGGER_TAG, held_back
from synml_dagster.automation.check_results import failures_in_a_row
from synml_dagster.automation.jobs import AssetJob
from synml_dagster.automation.retrain_spec import AgeTrigger, FailedCheckSpec, RetrainOnSpec
from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.checks import DRIFTED_IMPORTANCE
from synml_dagster.partitions import PartitionsSpec, newest_read, run_for
from synml_dagster.resources.reason import REASON_TAG

CHALLENGER = "challenger version"
"""Metadata that each training leaves on `champion`."""

_DAY = 86_400.0


@dataclass(frozen=True)
class Retraining:
    """What the sensors of a pipeline that retrain have in common.

    Attributes
    ----------
    job
        What they ask for.
    trained
        The asset that each training materializes before its model serves.
    read
        The asset by whose partitions it is known which were read.
    """

    pipeline: str
    spec: AutomationSpec
    on: RetrainOnSpec
    job: AssetJob
    trained: dg.AssetKey
    read: dg.AssetKey
    partitions: PartitionsSpec | None = None

    def sensor(self, word: str, when: str) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
        """Return the decorator of one of the sensors."""
        return dg.sensor(
            name=f"{self.pipeline}_{word}",
            job=self.job,
            minimum_interval_seconds=self.spec.every_seconds,
            default_status=dg.DefaultSensorStatus.RUNNING
            if self.spec.running
            else dg.DefaultSensorStatus.STOPPED,
            description=f"Asks for {self.job.name} when {when}; with the others that retrain at most {self.on.at_most} "
            f"times in {self.on.within_days:g} days, and not within {self.on.cool_down_hours:g} hours of a training.",
        )

    def last(self, instance: dg.DagsterInstance) -> float | None:
        """When the last training ended, in seconds since 1970; None before the first."""
        for record in instance.fetch_materializations(self.trained, limit=100).records:
            made = record.asset_materialization
            # A person who moves the champion leaves an event, too, and has trained nothing.
            if made is not None and CHALLENGER in made.metadata:
                return record.timestamp
        return None

    def ask(
        self, context: dg.SensorEvaluationContext, word: str, reason: str, cause: float
    ) -> dg.SensorResult:
        """Ask for a run for one cause, a moment; while a brake holds, the cursor stays, and a later tick asks."""
        training = {"synml/pipeline": self.pipeline, "synml/job": "train"}
        if why := held_back(context.instance, training, self.on, self.on.triggers(), "automation.retrain_on"):
            return dg.SensorResult(skip_reason=f"not yet, because {why}. {reason}", cursor=context.cursor)
        run_key, tags = f"{self.pipeline}:{word}:{cause}", {REASON_TAG: reason[:255], TRIGGER_TAG: word}
        if self.partitions is None:
            request = dg.RunRequest(run_key=run_key, tags=tags)
        else:
            keys = newest_read(self.partitions, context, self.read, self.spec.read_again)
            if not keys:
                return dg.SensorResult(skip_reason="there is no partition yet", cursor=context.cursor)
            request = run_for(keys, tags, run_key)
        return dg.SensorResult(run_requests=[request], cursor=json.dumps({"cause": cause}))


def failed_check_sensor(
    retraining: Retraining, word: str, check: dg.AssetCheckKey, spec: FailedCheckSpec, importance: float = 0.0
) -> dg.SensorDefinition:
    """Return `<pipeline>_<word>`, which asks when `check` has failed `spec.failures` times in a row.

    Results of before the last training say nothing of the model that serves now and do not count. Each result asks
    once: the cursor keeps the moment of the last that did.
    """
    times = "" if spec.failures == 1 else f" {spec.failures} times in a row"
    least = (DRIFTED_IMPORTANCE, importance) if importance > 0 else None

    @retraining.sensor(word, f"the check {check.name!r} of {check.asset_key.path[-1]!r} failed{times}")
    def failed_check(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        trained = retraining.last(context.instance)
        if trained is None:
            return dg.SensorResult(skip_reason="nothing was trained yet", cursor=context.cursor)
        after = max(trained, _cause(context.cursor))
        found, end = failures_in_a_row(context.instance, check, after, spec.failures, least)
        if len(found) < spec.failures:
            return dg.SensorResult(
                skip_reason=f"{check.name!r} failed {len(found)} times, of {spec.failures} that are asked for, since {end}",
                cursor=context.cursor,
            )
        return retraining.ask(context, word, f"{word}{times}: {found[0].said}", found[0].at)

    return failed_check


def age_sensor(retraining: Retraining, spec: AgeTrigger) -> dg.SensorDefinition:
    """Return `<pipeline>_age`, which asks when the last training ended `spec.days` days ago.

    What counts is the last time that a challenger was measured against the champion, whichever of them won: a model that
    is still the best is not tried again at each tick. A training that fails is asked for again after the cool-down.
    """

    @retraining.sensor("age", f"the last training ended {spec.days:g} days ago")
    def old(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        trained, now = retraining.last(context.instance), time.time()
        if trained is None:
            return dg.SensorResult(skip_reason="nothing was trained yet", cursor=context.cursor)
        days = (now - trained) / _DAY
        if days < spec.days:
            return dg.SensorResult(
                skip_reason=f"the last training ended {days:.2f} days ago, and {spec.days:g} are asked for",
                cursor=context.cursor,
            )
        return retraining.ask(context, "age", f"age: the last training ended {days:.1f} days ago", now)

    return old


def _cause(cursor: str | None) -> float:
    """The moment that a cursor keeps; 0 where there is none yet, or where somebody has reset it by hand."""
    try:
        return float(json.loads(cursor or "")["cause"])
    except (ValueError, TypeError, KeyError):
        return 0.0
