from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG
from synml_dagster.spark.source import SOURCE_VERSION, Source, source_version


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n")
    return file


def defs_of(table, **automation):
    return MLPipeline(name="p", source=str(table), label="b", automation=automation).definitions()


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
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
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
    assert result.cursor == source_version(Source(path=str(table)))


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
        (request,) = tick(defs, instance=instance).run_requests
        assert version in request.tags[REASON_TAG]
    assert defs.resolve_sensor_def("p_new_data").job_name == "p_score"


def test_a_source_that_is_gone_is_said_in_the_tick(table):
    defs = defs_of(table, on_new_data="retrain")
    table.unlink()
    assert "there is no" in tick(defs).skip_message
