from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG
from synml_dagster.errors import SourceError, SynmlError
from synml_dagster.partitions import PartitionsSpec, newest
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.sources import Source
from synml_dagster.sources.version import SOURCE_VERSION, source_version


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n")
    return aged(file)


def aged(file, seconds=3600):
    """Make a file look as if nobody had touched it for a while: one that changes right now is waited for."""
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))
    return file


def defs_of(table, partitions=None, **automation):
    return MLPipeline(
        name="p", source=str(table), label="b", automation=automation, partitions=partitions
    ).definitions()


def tick(defs, cursor=None, instance=None):
    with dg.build_sensor_context(
        instance=instance or dg.DagsterInstance.ephemeral(),
        cursor=cursor,
        definitions=defs,
        resources={"spark": defs.resources["spark"]},
    ) as context:
        return defs.resolve_sensor_def("p_new_data").evaluate_tick(context)


def test_nothing_runs_by_itself_until_it_is_named(table):
    defs = defs_of(table)
    assert not list(defs.schedules or [])
    assert not list(defs.sensors or [])


def test_schedules_start_the_named_jobs_at_their_times_with_a_reason(table):
    defs = defs_of(table, score="0 6 * * *", retrain="0 3 * * 0", timezone="Europe/Berlin")
    for name, job in (("p_score_schedule", "p_score"), ("p_retrain_schedule", "p_train")):
        schedule = defs.resolve_schedule_def(name)
        assert schedule.job_name == job
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
        context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 4, 6, tzinfo=UTC))
        (request,) = schedule.evaluate_tick(context).run_requests
        assert request.tags[REASON_TAG].startswith("schedule 0 ")


def test_the_score_job_trains_nothing(table):
    defs = defs_of(table)
    job = defs.resolve_job_def("p_score")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
        "p/raw",
        "p/predictions",
    }


def test_data_that_no_run_has_read_asks_for_one_run_with_its_reason(table):
    result = tick(defs_of(table, on_new_data="retrain"))
    (request,) = result.run_requests
    assert "changed from version none to" in request.tags[REASON_TAG]
    assert json.loads(result.cursor)["version"] == source_version(Source(path=str(table)))


def test_the_same_change_is_not_asked_for_twice(table):
    defs = defs_of(table, on_new_data="retrain")
    first = tick(defs)
    assert not tick(defs, cursor=first.cursor).run_requests


def test_data_that_a_run_has_read_asks_for_nothing_and_its_change_does(table):
    defs = defs_of(table, on_new_data="score")
    version = source_version(Source(path=str(table)))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["p", "raw"], metadata={SOURCE_VERSION: version})
        )
        skipped = tick(defs, instance=instance)
        assert "unchanged" in skipped.skip_message
        table.write_text("a,b\n1,2\n3,4\n")
        aged(table)
        (request,) = tick(defs, instance=instance).run_requests
        assert version in request.tags[REASON_TAG]
    assert defs.resolve_sensor_def("p_new_data").job_name == "p_score"


def test_a_source_that_is_gone_fails_the_tick(table):
    defs = defs_of(table, on_new_data="retrain")
    table.unlink()
    with pytest.raises(SourceError, match="there is no"):
        tick(defs)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nope2://bucket/rows", "'nope2://bucket/rows' cannot be opened from this host: Protocol not known"),
        (
            "http://localhost:1/rows.csv",
            "source: csv http://localhost:1/rows.csv cannot be listed: .*Can this host reach it",
        ),
    ],
)
def test_a_source_that_cannot_be_listed_fails_the_tick_and_says_why(source, said):
    with pytest.raises(SynmlError, match=said):
        tick(defs_of(source, on_new_data="score"))


DAILY = {"column": "a", "daily": "2026-01-01", "timezone": "Europe/Berlin"}
STATIC = {"column": "a", "static": ["x", "y"]}


@pytest.mark.parametrize("partitions", [DAILY, STATIC, {"column": "a", "dynamic": "as"}])
def test_a_pipeline_with_partitions_loads_with_its_jobs_schedules_and_sensor(table, partitions):
    defs = defs_of(table, partitions, score="0 6 * * *", retrain="0 3 * * 0", on_new_data="score")
    dg.Definitions.validate_loadable(defs)
    for job in ("p_score", "p_train"):
        assert defs.resolve_job_def(job).partitions_def is not None
    graph = defs.resolve_asset_graph()
    with_partitions = {k.path[-1] for k in graph.get_all_asset_keys() if graph.get(k).is_partitioned}
    assert with_partitions == {"raw", "predictions"}


def test_a_schedule_asks_for_the_last_whole_day_or_for_all_keys_in_one_run(table):
    def requests(partitions):
        defs = defs_of(table, partitions, score="0 6 * * *", timezone="Europe/Berlin")
        context = dg.build_schedule_context(
            scheduled_execution_time=datetime(2026, 3, 4, 6, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        return defs.resolve_schedule_def("p_score_schedule").evaluate_tick(context).run_requests

    (request,) = requests(DAILY)
    assert request.partition_key == "2026-03-03"
    assert request.tags[REASON_TAG].startswith("schedule 0 6")
    (request,) = requests(STATIC)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("x", "y")


def test_a_schedule_waits_for_the_first_partition(table):
    defs = defs_of(table, {"column": "a", "dynamic": "as"}, score="0 6 * * *")
    schedule = defs.resolve_schedule_def("p_score_schedule")
    now = datetime(2026, 3, 4, 6, tzinfo=UTC)
    with (
        dg.DagsterInstance.local_temp() as instance,
        dg.build_schedule_context(
            instance=instance, scheduled_execution_time=now, repository_def=defs.get_repository_def()
        ) as context,
    ):
        assert "no partition yet" in schedule.evaluate_tick(context).skip_message
        instance.add_dynamic_partitions("as", ["new"])
        (request,) = schedule.evaluate_tick(context).run_requests
        assert request.partition_key == "new"


def test_the_partitions_that_a_run_would_be_for_count_and_no_older_one(table):
    defs = defs_of(table, DAILY, on_new_data="score")
    version = source_version(Source(path=str(table)))
    latest = newest(PartitionsSpec(**DAILY), None)[0]

    def read(instance, day):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["p", "raw"], partition=day, metadata={SOURCE_VERSION: version})
        )

    with dg.DagsterInstance.ephemeral() as instance:
        read(instance, "2026-01-01")  # a run over an old day has not read the rows of those since
        (request,) = tick(defs, instance=instance).run_requests
        assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-01-02", latest)
        read(instance, latest)
        assert "unchanged" in tick(defs, instance=instance).skip_message


def test_a_training_of_ten_hours_says_so_some_hundred_times():
    from synml_dagster.assets.stage import Rarely

    now, said = [0.0], []
    rarely = Rarely(said.append, clock=lambda: now[0])
    for second in range(36_000):
        now[0] = float(second)
        rarely(second)
    assert said[:3] == [0, 3, 6]
    assert 250 < len(said) < 400
    assert max(b - a for a, b in itertools.pairwise(said)) == 120
