"""The new-data sensor of a pipeline with partitions of time: each window that is over is asked for, whenever files came."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import product

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from synml_dagster.automation import AutomationSpec, new_data_sensor, score_job
from synml_dagster.automation.brakes import TRIGGER_TAG
from synml_dagster.partitions import PartitionsSpec
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.partitions.spec import CUT
from synml_dagster.resources import SparkResource
from synml_dagster.resources.reason import REASON_TAG
from synml_dagster.sources import Source
from synml_dagster.sources.version import SOURCE_VERSION, source_version

RAW = dg.AssetKey(["p", "raw"])
DAILY = {"column": "day", "daily": "2026-01-01"}


class Story:
    """A source, the sensor that watches it, and what has become of its requests, at moments that are given."""

    def __init__(self, folder, partitions, back=1, **automation):
        self.file = folder / "t.csv"
        self.back, self.automation = back, automation
        self.instance, self.cursor = dg.DagsterInstance.ephemeral(), None
        self.described(partitions)
        self.changes()

    def described(self, partitions):
        self.partitions = PartitionsSpec.model_validate(partitions)
        spec = AutomationSpec(on_new_data="score", settle_seconds=0, **self.automation)
        source, job = Source(path=str(self.file)), score_job("p", [RAW])
        self.sensor = new_data_sensor("p", spec, source, RAW, job, self.partitions, partitions_back=self.back)

    def changes(self):
        self.file.write_text((self.file.read_text() if self.file.exists() else "day\n") + "2026-03-01\n")
        os.utime(self.file, (1e9, 1e9 + self.file.stat().st_size))

    def read(self, *keys, **told):
        told[SOURCE_VERSION] = source_version(Source(path=str(self.file)))
        for key in keys:
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(RAW, partition=key, metadata=told)
            )

    def at(self, moment, *, change=False, read=False):
        """Return the keys of the only run that is asked for at a moment, from the first to the last, or why none is."""
        if change:
            self.changes()
        with ExitStack() as until:
            until.enter_context(freeze_time(datetime.fromisoformat(moment).replace(tzinfo=UTC)))
            context = dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, resources={"spark": SparkResource()}
            )
            result = self.sensor(until.enter_context(context))
        self.cursor = result.cursor
        if not result.run_requests:
            return result.skip_reason.skip_message
        (self.request,) = result.run_requests
        if self.request.partition_key:
            keys = [self.request.partition_key]
        else:
            keys = [self.request.tags[RANGE_START], self.request.tags[RANGE_END]]
        if read:
            self.read(*keys)
        return keys


@pytest.mark.parametrize("read", [False, True])
def test_a_day_whose_last_file_came_before_midnight_is_asked_for_and_so_is_a_weekend(tmp_path, read):
    story = Story(tmp_path, DAILY)
    assert story.at("2026-03-06 05:00", read=read) == ["2026-03-05"], "at first the newest whole day alone"
    assert story.at("2026-03-06 23:00", change=True, read=read) == ["2026-03-05"]
    version = source_version(Source(path=str(story.file)))
    assert story.at("2026-03-07 00:05", read=read) == ["2026-03-06"], "the source is as it was asked for"
    assert story.request.tags[REASON_TAG].startswith("'2026-03-06' of csv")
    assert story.request.tags[REASON_TAG].endswith(f"over (version {version})")
    assert ("unchanged" if read else "asked for already") in story.at("2026-03-07 12:00")
    assert story.at("2026-03-09 06:00", change=True, read=read) == ["2026-03-07", "2026-03-08"]
    assert f"changed from version {version if read else 'none'} to" in story.request.tags[REASON_TAG]
    assert isinstance(story.at("2026-03-09 12:00"), str)
    assert story.at("2026-03-09 13:00", change=True) == ["2026-03-08"]


def test_days_that_brakes_hold_back_are_asked_for_once_they_are_off(tmp_path):
    story = Story(tmp_path, DAILY, new_data={"cool_down_hours": 72, "at_most": 2, "within_days": 7})
    tags = {"synml/pipeline": "p", "synml/job": "score", TRIGGER_TAG: "new_data"}
    assert story.at("2026-03-06 05:00", read=True) == ["2026-03-05"]
    # Runs are stamped by the clock of the store, and the cool-down counts from there: it is on as long as the run is there.
    run = create_run_for_test(
        story.instance, job_name="p_score", status=dg.DagsterRunStatus.SUCCESS, tags=tags
    )
    for day in ("07", "08"):
        assert "cool-down of 72 hours" in story.at(f"2026-03-{day} 05:00", change=True)
        assert json.loads(story.cursor)["left"][-1] == f"2026-03-0{int(day) - 1}"
    story.instance.delete_run(run.run_id)
    assert story.at("2026-03-09 05:10", change=True) == ["2026-03-06", "2026-03-08"]


def test_cursors_of_earlier_releases_go_on_from_what_was_read(tmp_path):
    story = Story(tmp_path, DAILY)
    story.read("2026-03-02", "2026-03-03")
    version = source_version(Source(path=str(story.file)))
    for cursor in (json.dumps({"version": version, "changes": 3}), version, None):
        story.cursor = cursor
        assert story.at("2026-03-06 05:00") == ["2026-03-04", "2026-03-05"]
        told = json.loads(story.cursor)
        assert (told["upto"], told["left"]) == ("2026-03-05", [])


def test_no_run_takes_more_than_it_may_and_the_newest_come_first(tmp_path):
    story = Story(tmp_path, DAILY | {"per_run": 2})
    story.read("2026-03-01")
    assert story.at("2026-03-07 05:00") == ["2026-03-05", "2026-03-06"]
    tags = {"synml/pipeline": "p", "synml/job": "score"}
    run = create_run_for_test(
        story.instance, job_name="p_score", status=dg.DagsterRunStatus.STARTED, tags=tags
    )
    assert "a scoring is under way" in story.at("2026-03-07 05:01")
    story.instance.report_run_canceled(run)
    story.read("2026-03-03")  # by hand
    assert story.at("2026-03-07 05:02") == ["2026-03-04"]
    assert story.at("2026-03-07 05:03") == ["2026-03-02"]
    assert "asked for already" in story.at("2026-03-07 05:04")
    # A run that reads again what was read before has at least that much.
    story = Story(tmp_path, DAILY | {"per_run": 2}, back=3)
    story.read("2026-03-01")
    assert story.at("2026-03-07 05:00") == ["2026-03-04", "2026-03-06"]


def test_a_day_that_was_read_by_hand_leaves_those_before_it(tmp_path):
    story = Story(tmp_path, DAILY)
    assert story.at("2026-03-05 05:00", read=True) == ["2026-03-04"]
    story.read("2026-03-07")
    assert story.at("2026-03-08 05:00") == ["2026-03-05", "2026-03-06"]
    assert "unchanged" in story.at("2026-03-08 05:01")


WINDOWS = [
    ({"weekly": "2026-01-05"}, "2026-03-03", "2026-03-16", ["2026-03-02", "2026-03-09"]),
    ({"monthly": "2025-01-01"}, "2026-01-03", "2026-04-01", ["2026-01-01", "2026-03-01"]),
    # An hour that is there twice, and one that is not.
    (
        {"hourly": "2026-10-20T00:00", "timezone": "Europe/Berlin"},
        "2026-10-25 00:10",
        "2026-10-25 02:10",
        ["2026-10-25-02:00", "2026-10-25-02:00+0100"],
    ),
    (
        {"hourly": "2026-03-20T00:00", "timezone": "Europe/Berlin"},
        "2026-03-29 00:10",
        "2026-03-29 02:10",
        ["2026-03-29-01:00", "2026-03-29-03:00"],
    ),
    (
        {"daily": "2026-01-01", "timezone": "Europe/Berlin"},
        "2026-03-29 21:59",
        "2026-03-29 22:01",
        ["2026-03-29"],
    ),
]


def test_weeks_months_and_hours_when_clocks_are_put_forward_and_back(tmp_path):
    for partitions, first, then, keys in WINDOWS:
        story = Story(tmp_path, {"column": "at"} | partitions)
        assert len(story.at(first)) == 1
        assert story.at(then) == keys
        assert story.at(then, change=True) == keys[-1:]


def test_of_two_dimensions_days_are_asked_for_with_all_keys_of_the_other(tmp_path):
    day, region = DAILY, {"column": "region", "static": ["north", "south"]}
    for names in (("day", "region"), ("when", "region")):  # either may be the first in the order of the names
        dimensions = dict(zip(names, (day, region), strict=True))

        def keys(*days, first=names[0] == "day"):
            pairs = product(days, ["north", "south"])
            return ["|".join(pair if first else pair[::-1]) for pair in pairs]

        story = Story(tmp_path, {"dimensions": dimensions, "per_run": 4})
        story.read(*keys("2026-03-01"), keys("2026-03-02")[0])
        assert story.at("2026-03-06 05:00") == [keys("2026-03-04")[0], keys("2026-03-05")[1]]
        # The day of which one region was read is read once more.
        assert story.at("2026-03-06 05:01") == [keys("2026-03-02")[0], keys("2026-03-03")[1]]
        assert story.at("2026-03-08 05:00", change=True) == [keys("2026-03-06")[0], keys("2026-03-07")[1]]
        story.read(*keys("2026-03-06"), *keys("2026-03-07"))
        assert "unchanged" in story.at("2026-03-08 05:01")


def test_a_day_that_was_read_is_no_week_of_the_same_key(tmp_path):
    story = Story(tmp_path, DAILY)
    assert story.at("2026-03-03 05:00") == ["2026-03-02"]
    for day in ("2026-02-23", "2026-03-02"):
        story.read(day, **{CUT: "daily"})
    story.described({"column": "day", "weekly": "2026-01-05"})
    assert story.at("2026-03-09 05:00") == ["2026-03-02"]
    story.read("2026-03-02", **{CUT: "weekly"})
    assert story.at("2026-03-23 05:00") == ["2026-03-09", "2026-03-16"]
