"""What comes of a challenger in shadow: by its runs, by a person, by another run at the same moment."""

import threading

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.shadow import build_shadow_predictions
from synml_dagster.assets.shadow.outcome import conclude
from synml_dagster.assets.stage import ScoreSpec
from synml_dagster.automation import promotion_jobs
from synml_dagster.checks import PromoteSpec, ShadowLive, ShadowRun, ShadowSpec
from synml_dagster.checks.shadow import concluded
from synml_dagster.checks.shadow_registry import enter, in_shadow, promote_at_once
from synml_dagster.errors import ConfigError
from synml_dagster.resources import MLflowResource, SparkResource


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """Versions 1 to 4 of `adult`: 1 and 2 were promoted, and 3 is in shadow beside 2."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    resource = MLflowResource()

    @dg.asset
    def four(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "model.onnx").write_text("graph")
        with mlflow.run(context) as run:
            made = [run.register("adult", tmp_path / "bundle") for _ in range(4)]
        for version in made[:2]:
            mlflow.promote("adult", version)
        mlflow.set_alias("adult", "challenger", made[2])
        assert not enter(mlflow, "adult", made[2], "2", "auc is 0.9")

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([four], resources={"mlflow": resource}, instance=instance).success
        yield resource


def a_run(name, **figures):
    return ShadowRun(
        run_id=name,
        at=f"2026-01-01T00:00:0{name}",
        rows=100,
        **{"changed": 0.1, "difference": 0.05} | figures,
    )


def end(mlflow, name, spec=None, **figures):
    rule = PromoteSpec(shadow=spec or ShadowSpec(runs=2))
    return conclude(mlflow, "adult", rule, "adult", in_shadow(mlflow, "adult"), a_run(name, **figures))


def decided(mlflow, version):
    return mlflow.client.get_model_version("adult", version).tags["synml.decision"]


def by_hand(mlflow, name, **config):
    job = {j.name: j for j in promotion_jobs("adult", dg.AssetKey(["adult", "champion"]))}[f"adult_{name}"]
    op = {"promote": "adult_promote_version", "rollback": "adult_put_back"}[name]
    done = job.execute_in_process(
        resources={"mlflow": mlflow}, run_config={"ops": {op: {"config": config}}}, raise_on_error=True
    )
    (event,) = [e for e in done.all_events if e.event_type_value == "ASSET_MATERIALIZATION"]
    return event.step_materialization_data.materialization.description


def state(mlflow):
    found = in_shadow(mlflow, "adult")
    return mlflow.champion("adult").version, found.version.version if found else None


def test_after_its_runs_it_is_promoted_and_an_attempt_that_is_made_again_counts_once(mlflow):
    assert end(mlflow, "1").promoted is None
    assert end(mlflow, "1", changed=0.2).promoted is None
    assert [r.changed for r in in_shadow(mlflow, "adult").runs] == [0.2]
    done = end(mlflow, "2")
    assert done.promoted is True
    assert done.serves == "3"
    assert state(mlflow) == ("3", None)
    assert decided(mlflow, "3") == (
        "promoted: it stayed within the guardrails in 2 runs beside the champion; at most 20.00% of a run's rows decided otherwise by `prediction`"
    )


@pytest.mark.parametrize(
    ("limit", "figures", "said"),
    [
        (
            {"most_decisions": 0.3},
            {"changed": 0.31},
            "it decides 31.00% of the rows otherwise by `prediction`, and promote.shadow.most_decisions is 0.3",
        ),
        (
            {"most_decisions": 0.3},
            {"changed": 0.31, "decided": "decision"},
            "rows otherwise by `decision`, and",
        ),
        (
            {"most_difference": 0.2},
            {"difference": 0.25},
            "it differs by 0.25 on average, and promote.shadow.most_difference is 0.2",
        ),
        ({"most_shift": 0.2}, {"shift": 0.3, "chance": 0.25}, "a stability index of 0.3"),
        ({}, {"unscored": 1}, "it has no answer for 1 of 100 rows"),
        ({}, {"difference": float("nan")}, "are no numbers"),
        (
            {},
            {"problem": "the column 'age' is missing"},
            "it cannot score these rows: the column 'age' is missing",
        ),
    ],
)
def test_one_run_outside_of_the_guardrails_refuses_it(mlflow, limit, figures, said):
    done = end(mlflow, "1", ShadowSpec(runs=2, **limit), **figures)
    assert done.promoted is False
    assert state(mlflow) == ("2", None)
    assert decided(mlflow, "3").startswith("not promoted: in run 1 ")
    assert said in decided(mlflow, "3")


def test_what_chance_explains_and_what_is_at_the_limit_is_within():
    run = a_run("1", changed=0.3, difference=0.2, shift=0.3, chance=0.4)
    assert run.outside(ShadowSpec(most_decisions=0.3, most_difference=0.2, most_shift=0.1)) is None


def test_a_worse_live_metric_refuses_it_however_many_runs_there_were():
    live = ShadowLive(metric="auc", champion=0.9, challenger=0.7, rows=300, worse="worse by 0.2")
    promoted, said = concluded(ShadowSpec(runs=1), [a_run("1")], live)
    assert promoted is False
    assert said == "auc on 300 rows labelled since is 0.7, and the champion's 0.9: worse by 0.2"


def test_a_run_without_rows_has_shown_nothing():
    nothing = ShadowRun(run_id="empty", at="2026-01-01", rows=0)
    assert concluded(ShadowSpec(runs=1), [nothing], None)[0] is None
    assert concluded(ShadowSpec(runs=1), [nothing, a_run("1")], None)[0] is True


def test_a_newer_challenger_takes_the_place_of_an_older_one(mlflow):
    end(mlflow, "1")
    said = enter(mlflow, "adult", mlflow.version("adult", "4"), "2", "auc is 0.95")
    assert said == "it takes the place of version 3 in shadow, which had stood 1 run beside version 2"
    assert decided(mlflow, "3") == "not promoted: version 4 took its place in shadow after 1 run"
    assert state(mlflow) == ("2", "4")
    assert not in_shadow(mlflow, "adult").runs


def test_a_step_that_scored_for_one_that_left_meanwhile_decides_nothing(mlflow):
    before = in_shadow(mlflow, "adult")
    enter(mlflow, "adult", mlflow.version("adult", "4"), "2", "auc is 0.95")
    done = conclude(mlflow, "adult", PromoteSpec(shadow=ShadowSpec(runs=1)), "adult", before, a_run("1"))
    assert done.promoted is None
    assert (
        done.headline(before)
        == "version 3 has left the shadow: another run or a person has decided meanwhile"
    )
    assert state(mlflow) == ("2", "4")


def test_a_person_promotes_the_one_in_shadow_or_another_one(mlflow):
    said = by_hand(mlflow, "promote", reason="sure")
    assert (
        said
        == "version 3 promoted sure, in place of version 2; it was in shadow, with 0 runs beside version 2"
    )
    assert state(mlflow) == ("3", None)
    enter(mlflow, "adult", mlflow.version("adult", "4"), "3", "auc is 0.95")
    end(mlflow, "1")
    said = by_hand(mlflow, "rollback")
    assert (
        said == "version 2 put back by hand, in place of version 3; version 4 leaves the shadow, after 1 run"
    )
    assert state(mlflow) == ("2", None)
    assert "version 2 became champion by hand while it was in shadow beside version 3" in decided(mlflow, "4")


def test_a_champion_that_was_moved_in_the_registry_ends_the_shadow(mlflow):
    mlflow.set_alias("adult", "champion", "1")
    done = end(mlflow, "1")
    assert done.promoted is False
    assert state(mlflow) == ("1", None)
    assert "version 1 became champion while it was in shadow beside version 2" in decided(mlflow, "3")


def test_a_promotion_that_was_cut_off_half_way_is_taken_as_done(mlflow):
    mlflow.set_alias("adult", "champion", "3")
    found = in_shadow(mlflow, "adult")
    done = end(mlflow, "1")
    said = "it was made champion while it was in shadow beside version 2"
    assert done.headline(found) == f"version 3 is the champion: {said}"
    assert done.promoted is True  # the page of the champion is told, whatever was cut off
    assert state(mlflow) == ("3", None)
    assert decided(mlflow, "3") == f"promoted: {said}"


def test_where_another_one_is_champion_it_leaves_without_a_run(mlflow):
    mlflow.set_alias("adult", "champion", "1")
    found, rule = in_shadow(mlflow, "adult"), PromoteSpec(shadow=ShadowSpec(runs=1))
    done = conclude(mlflow, "adult", rule, "adult", found, None)
    assert (done.promoted, done.serves, done.runs) == (False, "1", ())
    assert state(mlflow) == ("1", None)
    assert "version 1 became champion while it was in shadow beside version 2" in decided(mlflow, "3")


def test_a_promotion_past_the_shadow_ends_it(mlflow):
    assert promote_at_once(mlflow, "adult", mlflow.version("adult", "4")) == (
        "version 3 leaves the shadow, after 0 runs"
    )
    assert state(mlflow) == ("4", None)
    assert decided(mlflow, "3") == (
        "not promoted: version 4 became champion without a time in shadow while it was in shadow beside version 2"
    )
    assert not promote_at_once(mlflow, "adult", mlflow.version("adult", "2"))


def test_approval_waits_for_a_person_after_the_last_run(mlflow):
    rule = PromoteSpec(shadow=ShadowSpec(runs=1), approval=True)
    done = conclude(mlflow, "adult", rule, "adult", in_shadow(mlflow, "adult"), a_run("1"))
    assert done.promoted is False
    assert state(mlflow) == ("2", None)
    assert "A person has to agree: launch adult_promote with version 3" in decided(mlflow, "3")


def step(mlflow, spark):
    """Run the step of `shadow_predictions`; return its check, or the first line of its failure."""
    record = ChampionRecord(
        model="adult",
        version="2",
        promoted=True,
        reason="",
        metric="auc",
        challenger_value=1.0,
        champion_value=None,
        champion_version="2",
    )

    @dg.asset(key=["adult", "champion"], io_manager_key="bundles")
    def champion() -> ChampionRecord:
        return record

    predictions = dg.AssetSpec(["adult", "predictions"])
    told = ScoreSpec.model_validate({"source": "waiting.csv"})
    shadow = build_shadow_predictions("adult", PromoteSpec(shadow=ShadowSpec(runs=1)), told)
    done = dg.materialize(
        [champion, predictions, shadow],
        resources={
            "mlflow": mlflow,
            "spark": spark,
            "bundles": dg.mem_io_manager,
            "spark_tables": dg.mem_io_manager,
        },
        raise_on_error=False,
    )
    for event in done.all_events:
        if event.is_step_failure:
            return str(event.step_failure_data.error)
    (check,) = done.get_asset_check_evaluations()
    return check


def test_what_is_no_fault_of_the_challengers_fails_the_step_and_refuses_nobody(mlflow, classic_spark):
    # The fixture's champion cannot be opened, as where the registry's files cannot be read for a while.
    assert "ModelError" in step(mlflow, SparkResource(master="local[2]"))
    assert state(mlflow) == ("2", "3")
    assert not in_shadow(mlflow, "adult").runs


def test_where_there_is_nothing_to_score_no_spark_is_opened(mlflow):
    unheard_of = SparkResource(remote="sc://nowhere.invalid:1")
    mlflow.set_alias("adult", "champion", "1")
    check = step(mlflow, unheard_of)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description.startswith("version 3 not promoted: version 1 became champion while it was")
    assert state(mlflow) == ("1", None)
    check = step(mlflow, unheard_of)
    assert (check.passed, check.description) == (True, "no challenger of 'adult' is in shadow")


def test_columns_of_the_challengers_names_are_refused_at_load():
    told = ScoreSpec(keep=["id", "Challenger_Decision"])
    with pytest.raises(ConfigError, match="'Challenger_Decision' cannot be carried along"):
        build_shadow_predictions("adult", PromoteSpec(shadow=ShadowSpec()), told)


def test_two_runs_that_end_at_once_promote_once(mlflow):
    found, rule = in_shadow(mlflow, "adult"), PromoteSpec(shadow=ShadowSpec(runs=1))
    done, start = [], threading.Barrier(2)

    def one(name):
        start.wait()
        done.append(conclude(MLflowResource(), "adult", rule, "adult", found, a_run(name)))

    threads = [threading.Thread(target=one, args=(name,)) for name in ("1", "2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted((d.promoted for d in done), key=str) == [None, True]
    assert state(mlflow) == ("3", None)


def test_a_missing_number_is_no_agreement_after_the_registry_either():
    run = a_run("1", difference=float("nan"))
    assert "no numbers" in ShadowRun.model_validate_json(run.model_dump_json()).outside(ShadowSpec())


def test_what_cannot_be_is_refused_at_load():
    about = {"name": "p", "source": "a.csv", "label": "y"}
    for promote, task, text in [
        ({"shadow": {"runs": 0}}, "auto", "greater than or equal to 1"),
        ({"shadow": {}, "replace": True}, "auto", "keep one"),
        ({"shadow": {"most_decisions": 0.1}}, "regression", "is about classes, and the task is regression"),
    ]:
        with pytest.raises(ValidationError, match=text):
            MLPipeline.model_validate(about | {"promote": promote, "task": task})
