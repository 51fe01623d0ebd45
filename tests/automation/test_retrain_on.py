"""Sensors that retrain: what asks, what does not count, what holds them back, and what is refused at load."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG, RetrainOnSpec
from synml_dagster.automation.brakes import TRIGGER_TAG
from synml_dagster.checks.drift import DRIFTED_IMPORTANCE

PLAIN = {"name": "p", "source": "t.csv", "label": "b"}
FREE = {"cool_down_hours": 0, "at_most": 100}
DAILY = {"column": "a", "daily": "2026-01-01", "end": "2026-01-31"}


def defs_of(retrain_on, partitions=None, **automation):
    return MLPipeline.model_validate(
        PLAIN
        | {"drift": {}, "live": {"key": ["id"]}, "partitions": partitions}
        | {"automation": automation | {"retrain_on": retrain_on}}
    ).definitions()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(instance, defs, word="drift", cursor=None):
    with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
        return defs.resolve_sensor_def(f"p_{word}").evaluate_tick(context)


def trained(instance):
    instance.report_runless_asset_event(
        dg.AssetMaterialization(["p", "champion"], metadata={"challenger version": 1})
    )


def checked(instance, passed, said="'age' (0.4)", check="drift", asset="predictions", **metadata):
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["p", asset]),
            check_name=check,
            passed=passed,
            description=said,
            metadata=metadata,
        )
    )


def launched(instance, fails=False, **tags):
    """Run a job that is tagged as the train job is."""

    @dg.op
    def work():
        if fails:
            raise ValueError("no")

    @dg.job(name="p_train", tags={"synml/pipeline": "p", "synml/job": "train"} | tags)
    def train():
        work()

    train.execute_in_process(instance=instance, raise_on_error=False)


def test_nothing_is_there_until_it_is_named():
    plain = MLPipeline.model_validate(PLAIN | {"drift": {}}).definitions()
    assert not list(plain.sensors or [])
    named = defs_of({"drift": {}, "decay": {}, "age": {"days": 3}})
    assert {s.name for s in named.sensors} == {"p_drift", "p_decay", "p_age"}
    assert all(s.default_status == dg.DefaultSensorStatus.STOPPED for s in named.sensors)
    dg.Definitions.validate_loadable(named)
    running = defs_of({"age": {"days": 3}}, running=True)
    assert [s.default_status for s in running.sensors] == [dg.DefaultSensorStatus.RUNNING]


@pytest.mark.parametrize(("word", "asset"), [("drift", "predictions"), ("decay", "live_evaluation")])
def test_a_failed_check_asks_once_and_says_why(instance, word, asset):
    defs = defs_of({word: {}} | FREE)
    trained(instance)
    assert not tick(instance, defs, word).run_requests
    checked(instance, True, check=word, asset=asset)
    assert "it passed" in tick(instance, defs, word).skip_message
    checked(instance, False, check=word, asset=asset)
    asked = tick(instance, defs, word)
    (request,) = asked.run_requests
    assert request.tags[REASON_TAG] == f"{word}: 'age' (0.4)"
    assert request.tags[TRIGGER_TAG] == word
    assert defs.resolve_sensor_def(f"p_{word}").job_name == "p_train"
    again = tick(instance, defs, word, asked.cursor)
    assert not again.run_requests
    assert "since the last training or the last request" in again.skip_message
    checked(instance, False, "'age' (0.5)", check=word, asset=asset)
    (second,) = tick(instance, defs, word, asked.cursor).run_requests
    assert second.run_key != request.run_key


def test_failures_before_the_last_training_and_before_a_success_do_not_count(instance):
    defs = defs_of({"drift": {"failures": 2}} | FREE)
    checked(instance, False)
    assert "nothing was trained" in tick(instance, defs).skip_message
    checked(instance, False)
    trained(instance)
    checked(instance, False)
    assert "failed 1 times, of 2" in tick(instance, defs).skip_message
    checked(instance, True)
    checked(instance, False)
    assert not tick(instance, defs).run_requests
    checked(instance, False, "'city' (0.9)")
    (request,) = tick(instance, defs).run_requests
    assert request.tags[REASON_TAG] == "drift 2 times in a row: 'city' (0.9)"


def test_a_check_that_a_run_has_planned_and_not_made_says_nothing(instance):
    defs = defs_of({"drift": {}} | FREE)
    trained(instance)

    @dg.asset(
        key=["p", "predictions"],
        check_specs=[dg.AssetCheckSpec("drift", asset=dg.AssetKey(["p", "predictions"]))],
    )
    def cut_off():
        raise ValueError("no")

    dg.materialize([cut_off], instance=instance, raise_on_error=False)
    assert "failed 0 times" in tick(instance, defs).skip_message
    checked(instance, False)
    dg.materialize([cut_off], instance=instance, raise_on_error=False)
    assert tick(instance, defs).run_requests


def test_columns_that_do_not_matter_to_the_model_ask_for_nothing(instance):
    defs = defs_of({"drift": {"importance": 0.2}} | FREE)
    trained(instance)
    checked(instance, False, **{DRIFTED_IMPORTANCE: 0.05})
    assert "was 0.05, below 0.2" in tick(instance, defs).skip_message
    checked(instance, False, **{DRIFTED_IMPORTANCE: 0.3})
    assert tick(instance, defs).run_requests


def test_the_time_since_the_last_training_asks(instance):
    trained(instance)
    soon, late = defs_of({"age": {"days": 1e-9}} | FREE), defs_of({"age": {"days": 30}} | FREE)
    assert "0.00 days ago, and 30 are asked for" in tick(instance, late, "age").skip_message
    (request,) = tick(instance, soon, "age").run_requests
    assert request.tags[REASON_TAG].startswith("age: the last training ended")


def test_after_any_training_there_is_a_cool_down_even_when_it_failed(instance):
    trained(instance)
    launched(instance, fails=True)
    checked(instance, False)
    held = tick(instance, defs_of({"drift": {}, "cool_down_hours": 24}))
    assert not held.run_requests
    assert "cool-down of 24 hours ends" in held.skip_message
    assert "'age' (0.4)" in held.skip_message
    # The cause is not lost: the first tick after the cool-down asks.
    assert tick(instance, defs_of({"drift": {}, "cool_down_hours": 0}), cursor=held.cursor).run_requests


def test_the_budget_is_that_of_all_sensors_together_and_people_do_not_use_it_up(instance):
    defs = defs_of({"drift": {}, "age": {"days": 1e-9}, "cool_down_hours": 0, "at_most": 2})
    trained(instance)
    for _ in range(3):
        launched(instance)
    launched(instance, **{TRIGGER_TAG: "drift"})
    checked(instance, False)
    assert tick(instance, defs).run_requests
    launched(instance, **{TRIGGER_TAG: "age"})
    held = tick(instance, defs)
    assert not held.run_requests
    assert "2 retrainings were asked for within 7 days" in held.skip_message
    assert not tick(instance, defs, "age").run_requests


def test_one_training_at_a_time(instance):
    defs = defs_of({"drift": {}} | FREE)
    trained(instance)
    checked(instance, False)
    asked = []

    @dg.op
    def look():
        asked.append(tick(instance, defs))

    @dg.job(name="p_train", tags={"synml/pipeline": "p", "synml/job": "train"})
    def train():
        look()

    train.execute_in_process(instance=instance)
    assert "a training is under way" in asked[0].skip_message
    assert tick(instance, defs).run_requests


@dg.asset(key=["p", "model"])
def model():
    pass


@dg.asset(key=["p", "predictions"])
def predictions():
    pass


@pytest.mark.parametrize("by", ["asset graph", "job of one's own"])
def test_a_training_is_one_whoever_asked_for_it(instance, by):
    defs = defs_of({"drift": {}} | FREE)
    of_model = dg.define_asset_job("own", selection=[model])
    of_others = dg.define_asset_job("scores", selection=[predictions])
    theirs = dg.Definitions([model, predictions], jobs=[of_model, of_others])
    trained(instance)
    checked(instance, False)

    def started(job, *keys):
        return instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, asset_selection=set(keys) or None
        )

    graph = theirs.resolve_implicit_global_asset_job_def()
    # Scorings are none.
    started(graph, predictions.key)
    started(theirs.resolve_job_def("scores"))
    assert tick(instance, defs_of({"drift": {}})).run_requests
    run = started(graph, model.key) if by == "asset graph" else started(theirs.resolve_job_def("own"))
    # One that was launched in its job since, and has ended.
    launched(instance)
    assert f"a training is under way, run {run.run_id[:8]}" in tick(instance, defs).skip_message
    instance.report_run_canceled(run)
    assert tick(instance, defs).run_requests


def test_the_cool_down_begins_with_a_training_from_the_asset_graph(instance):
    trained(instance)
    checked(instance, False)
    assert tick(instance, defs_of({"drift": {}})).run_requests
    dg.materialize([model], instance=instance)
    assert "the last training was asked for at" in tick(instance, defs_of({"drift": {}})).skip_message


def test_every_sensor_that_retrains_counts_in_the_budget():
    asked = {"drift": {}, "decay": {}, "age": {"days": 1}}
    assert sorted(RetrainOnSpec.triggers()) == sorted(asked)
    names = {sensor.name for sensor in defs_of(asked).sensors}
    assert {f"p_{word}" for word in RetrainOnSpec.triggers()} <= names


def test_a_sensor_that_cannot_stop_failing_is_stopped_by_its_budget(instance):
    """The loop that must not be: each training fails, and each scoring drifts."""
    defs, cursor, runs = defs_of({"drift": {}, "cool_down_hours": 0, "at_most": 3}), None, 0
    trained(instance)
    for _ in range(10):
        checked(instance, False)
        result = tick(instance, defs, cursor=cursor)
        cursor = result.cursor
        for request in result.run_requests or []:
            launched(instance, fails=True, **request.tags)
            runs += 1
    assert runs == 3


def test_a_retraining_is_for_the_days_that_were_read_and_reads_the_last_of_them_anew(instance):
    defs = defs_of({"drift": {}} | FREE, DAILY, read_again=3)
    trained(instance)
    checked(instance, False)
    for day in range(1, 11):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["p", "raw"], partition=f"2026-01-{day:02}")
        )
    (request,) = tick(instance, defs).run_requests
    tags = request.tags
    assert tags["dagster/asset_partition_range_start"] == "2026-01-08"
    assert tags["dagster/asset_partition_range_end"] == "2026-01-10"
    (one,) = tick(instance, defs_of({"drift": {}} | FREE, DAILY)).run_requests
    assert one.partition_key == "2026-01-10"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"automation": {"retrain_on": {}}}, "names nothing that asks"),
        (
            {"automation": {"retrain_on": {"age": {"days": 1}, "cool_down_hours": -1}}},
            "greater than or equal to 0",
        ),
        ({"automation": {"retrain_on": {"age": {"days": 0}}}}, "greater than 0"),
        (
            {"automation": {"retrain_on": {"age": {"days": 1}, "at_most": 0}}},
            "greater than or equal to 1",
        ),
        ({"automation": {"retrain_on": {"drift": {}}}}, "add drift: {}"),
        ({"automation": {"retrain_on": {"decay": {}}}}, "add live:"),
        ({"automation": {"retrain_on": {"drft": {}}}}, "Extra inputs"),
        ({"automation": {"on_new_labels": True}}, "add live:"),
        ({"automation": {"read_again": 3}}, "about partitions of time, and the description has none"),
        ({"automation": {"new_data": {"cool_down_hours": 1}}}, "add on_new_data"),
        (
            {"automation": {"on_new_data": "score", "new_data": {"within_days": 1}}},
            "at_most is absent; name it",
        ),
        ({"automation": {"retrain": "0 25 * * *"}}, "is not a cron expression"),
        ({"live": {"key": []}}, "at least 1 item"),
        ({"live": {"key": ["a", "a"]}}, "names a column twice"),
        ({"live": {"key": ["b"]}}, "which is the label"),
        ({"live": {"key": ["a"]}, "score": {"keep": ["c"]}}, "score.keep leaves out 'a', 'b'"),
        (
            {"live": {"key": ["a"], "labels": {"sql": "SELECT 1"}}, "automation": {"on_new_labels": True}},
            "automation.on_new_labels needs live.labels.version_query",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_load(more, said):
    with pytest.raises(ValidationError, match=said):
        MLPipeline.model_validate(PLAIN | more)
