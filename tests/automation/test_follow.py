"""Dagster's own conditions: predictions that follow a new champion and new partitions, once each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline

PLAIN = {"name": "p", "source": "t.csv", "label": "b"}
DAILY = {"column": "a", "daily": "2026-01-01"}
CHAMPION, RAW, PREDICTIONS, SHADOW = (
    dg.AssetKey(["p", s]) for s in ("champion", "raw", "predictions", "shadow_predictions")
)


class Daemon:
    """Evaluates the conditions as the daemon does, tick by tick."""

    def __init__(self, instance, partitions=None, promote=None, **automation):
        described = PLAIN | {"partitions": partitions, "automation": automation, "promote": promote or {}}
        self.defs = MLPipeline.model_validate(described).definitions()
        self.instance, self.cursor = instance, None
        self.now = datetime(2026, 1, 4, 12, tzinfo=UTC)

    def tick(self):
        """Return what is asked for: by asset the partitions, or True for one without."""
        self.now += timedelta(minutes=1)
        result = dg.evaluate_automation_conditions(
            self.defs, self.instance, cursor=self.cursor, evaluation_time=self.now
        )
        self.cursor = result.cursor
        asked = {}
        for key in (RAW, PREDICTIONS, SHADOW):
            if result.get_num_requested(key):
                asked[key.path[-1]] = sorted(result.get_requested_partitions(key), key=str)
        return asked

    def made(self, key, version=None, partition=None):
        tags = {"dagster/data_version": str(version)} if version is not None else None
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition, tags=tags))

    def looked(self):
        """A run has found nobody in shadow: the check, and no table."""
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=SHADOW, check_name="shadow", passed=True)
        )


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_another_champion_has_the_rows_scored_again_and_a_refused_challenger_does_not(instance):
    daemon = Daemon(instance, follow={"champion": True})
    daemon.tick()
    for key, version in ((RAW, "r1"), (CHAMPION, 1), (PREDICTIONS, None)):
        daemon.made(key, version)
    assert daemon.tick() == {}
    daemon.made(CHAMPION, 1)  # version 2 was trained and refused
    assert daemon.tick() == {}
    daemon.made(CHAMPION, 3)
    assert daemon.tick() == {"predictions": [None]}
    assert daemon.tick() == {}
    daemon.made(RAW, "r2")
    assert daemon.tick() == {}


def test_a_new_day_is_read_and_then_scored(instance):
    daemon = Daemon(instance, DAILY, follow={"partitions": True})
    daemon.made(CHAMPION, 1)
    daemon.tick()
    daemon.now += timedelta(days=1)
    assert daemon.tick() == {"raw": ["2026-01-04"]}
    assert daemon.tick() == {}
    daemon.made(RAW, "r1", "2026-01-04")
    assert daemon.tick() == {"predictions": ["2026-01-04"]}
    daemon.made(PREDICTIONS, None, "2026-01-04")
    assert daemon.tick() == {}


def test_a_new_day_is_read_and_scored_of_all_regions(instance):
    region = {"column": "c", "static": ["north", "south"]}
    daemon = Daemon(instance, {"dimensions": {"region": region, "time": DAILY}}, follow={"partitions": True})
    daemon.made(CHAMPION, 1)
    daemon.tick()
    daemon.now += timedelta(days=1)
    both = ["north|2026-01-04", "south|2026-01-04"]
    assert daemon.tick() == {"raw": both}
    daemon.made(RAW, "r1", both[1])
    assert daemon.tick() == {"predictions": both[1:]}


def test_with_partitions_another_champion_scores_the_newest_day(instance):
    daemon = Daemon(instance, DAILY, follow={"champion": True})
    daemon.tick()
    daemon.made(CHAMPION, 1)
    for day in ("2026-01-02", "2026-01-03"):
        daemon.made(RAW, "r1", day)
        daemon.made(PREDICTIONS, None, day)
    daemon.tick()
    daemon.made(CHAMPION, 2)
    assert daemon.tick() == {"predictions": ["2026-01-03"]}


def test_a_scoring_asks_for_the_shadow_once_and_not_where_its_run_has_looked(instance):
    daemon = Daemon(instance, promote={"shadow": {}}, follow={"champion": True})
    daemon.now = datetime.now(UTC) - timedelta(minutes=10)  # events have the real time
    daemon.tick()
    for key, version in ((RAW, "r1"), (CHAMPION, 1)):
        daemon.made(key, version)
    assert daemon.tick() == {"predictions": [None], "shadow_predictions": [None]}
    assert daemon.tick() == {}
    daemon.made(PREDICTIONS)  # by a run of its own
    assert daemon.tick() == {"shadow_predictions": [None]}
    assert daemon.tick() == {}
    daemon.made(PREDICTIONS)  # by the job of scoring, in which nobody was in shadow
    daemon.looked()
    assert daemon.tick() == {}
    daemon.now = datetime.now(UTC) + timedelta(minutes=1)  # after all events
    assert daemon.tick() == {}
    daemon.made(PREDICTIONS)
    daemon.made(SHADOW)
    assert daemon.tick() == {}
    daemon.made(PREDICTIONS)
    assert daemon.tick() == {"shadow_predictions": [None]}


def test_it_is_off_until_it_is_named_and_its_sensor_starts_stopped(instance):
    plain = Daemon(instance)
    assert not list(plain.defs.sensors or [])
    specs = {s.key: s for a in plain.defs.assets if hasattr(a, "specs") for s in a.specs}
    assert specs[PREDICTIONS].automation_condition is None
    assert specs[PREDICTIONS].freshness_policy is None
    named = Daemon(instance, follow={"champion": True}, fresh_hours=26)
    (sensor,) = named.defs.sensors
    assert sensor.name == "p_follow"
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    specs = {s.key: s for a in named.defs.assets if hasattr(a, "specs") for s in a.specs}
    assert specs[PREDICTIONS].freshness_policy.fail_window.to_timedelta() == timedelta(hours=26)
    dg.Definitions.validate_loadable(named.defs)


def test_what_cannot_be_followed_is_refused_at_load():
    with pytest.raises(ValidationError, match="description has none"):
        MLPipeline.model_validate(PLAIN | {"automation": {"follow": {"partitions": True}}})
    with pytest.raises(ValidationError, match="greater than 0"):
        MLPipeline.model_validate(PLAIN | {"automation": {"fresh_hours": 0}})


def test_a_partition_of_a_source_that_is_an_asset_is_read_once_it_is_materialized_and_each_time(instance):
    visits = dg.AssetSpec("visits", partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    daemon = Daemon(instance, DAILY, follow={"partitions": True})
    told = PLAIN | {"source": {"asset": "visits"}, "partitions": {"daily": "2026-01-01"}}
    pipeline = MLPipeline.model_validate(told | {"automation": {"follow": {"partitions": True}}})
    daemon.defs = dg.Definitions.merge(pipeline.definitions(), dg.Definitions(assets=[visits]))
    assert not daemon.tick()  # its day is over, and nobody has made it
    for _ in range(2):
        daemon.made(visits.key, partition="2026-01-03")
        assert daemon.tick() == {"raw": ["2026-01-03"]}
        assert not daemon.tick()
        daemon.made(RAW, partition="2026-01-03")
        daemon.tick()
