"""The second run of a pipeline: what the sensor asks for when a source comes, goes, comes back or is half there."""

from __future__ import annotations

import os

import dagster as dg
import pytest

from synml_dagster.sources import Source
from synml_dagster.sources.settled import unsettled
from synml_dagster.sources.version import SOURCE_VERSION, source_version
from tests.automation.test_automation import aged, defs_of, tick


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n")
    return aged(file)


def read(instance, table):
    version = source_version(Source(path=str(table)))
    instance.report_runless_asset_event(
        dg.AssetMaterialization(["p", "raw"], metadata={SOURCE_VERSION: version})
    )


def test_nothing_is_on_unless_the_description_says_so(table):
    for running in (False, True):
        defs = defs_of(table, score="0 6 * * *", on_new_data="score", running=running)
        word = "RUNNING" if running else "STOPPED"
        assert defs.resolve_sensor_def("p_new_data").default_status.value == word
        assert defs.resolve_schedule_def("p_score_schedule").default_status.value == word


def test_a_source_that_returns_to_an_earlier_state_is_a_change_each_time(table):
    defs = defs_of(table, on_new_data="retrain")
    stamp = table.stat().st_mtime
    keys, cursor = [], None
    with dg.DagsterInstance.ephemeral() as instance:
        for text in ("a,b\n1,2\n", "a,b\n1,2\n3,4\n") * 3:
            table.write_text(text)
            os.utime(table, (stamp, stamp))
            result = tick(defs, cursor, instance)
            (request,) = result.run_requests
            keys.append(request.run_key)
            again = tick(defs, result.cursor, instance)
            assert not again.run_requests, "one change asks for one run"
            read(instance, table)
            cursor = tick(defs, again.cursor, instance).cursor
    assert len(set(keys)) == 6


def test_a_state_left_while_its_run_was_under_way_is_asked_for_again(table):
    defs = defs_of(table, on_new_data="retrain")
    stamp = table.stat().st_mtime
    before = table.read_text()
    with dg.DagsterInstance.ephemeral() as instance:
        read(instance, table)
        table.write_text("a,b\n1,2\n3,4\n")
        os.utime(table, (stamp, stamp))
        asked = tick(defs, None, instance)
        assert len(asked.run_requests) == 1
        other = source_version(Source(path=str(table)))
        table.write_text(before)
        os.utime(table, (stamp, stamp))
        cursor = tick(defs, asked.cursor, instance).cursor
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["p", "raw"], metadata={SOURCE_VERSION: other})
        )
        assert len(tick(defs, cursor, instance).run_requests) == 1


def test_a_file_that_has_just_changed_is_waited_for(table):
    os.utime(table)
    waiting = tick(defs_of(table, on_new_data="retrain"))
    assert not waiting.run_requests
    assert "may be half written" in waiting.skip_message
    aged(table)
    assert len(tick(defs_of(table, on_new_data="retrain"), waiting.cursor).run_requests) == 1
    os.utime(table)
    assert len(tick(defs_of(table, on_new_data="retrain", settle_seconds=0)).run_requests) == 1


def test_a_folder_in_which_a_writer_is_at_work_is_waited_for(tmp_path):
    folder = tmp_path / "days"
    (folder / "_temporary" / "0").mkdir(parents=True)
    (folder / "part-0.csv").write_text("a\n1\n")
    for file in (folder / "_temporary" / "0" / "part-1.csv", folder / "b.csv.part"):
        file.write_text("a\n")
        aged(file)
        aged(folder / "part-0.csv")
        assert "still being written" in (unsettled(Source(path=str(folder)), 30) or "")
        before = source_version(Source(path=str(folder), format="csv"))
        file.unlink()
        assert source_version(Source(path=str(folder), format="csv")) == before, "it is no data yet"
    assert unsettled(Source(path=str(folder)), 30) is None
    assert "_SUCCESS" in (unsettled(Source(path=str(folder)), 30, success=True) or "")
    (folder / "_SUCCESS").touch()
    assert unsettled(Source(path=str(folder)), 30, success=True) is None
