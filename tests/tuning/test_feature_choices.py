"""Feature choices as part of a search: trials of all choices see the same rows in one order, and the winner is what is trained."""

from __future__ import annotations

import json

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.artifacts import FittedPipeline
from synml_dagster.features import AS_DESCRIBED, SPLIT, FeatureChoices, assemble, fit_plan
from synml_dagster.learners import TrainSpec
from synml_dagster.tables import publish_table
from synml_dagster.tuning import Question, SweepSpec, TrialOutcome, run_sweep
from synml_dagster.tuning import runner as runner_module
from synml_dagster.tuning.choice import families_of
from synml_dagster.tuning.ensemble import with_ensemble
from synml_dagster.tuning.feature_choice import ranges_of, split_choice, wanted_choices
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import TrialJobs, trial_data
from synml_dagster.tuning.trial import unpacked

CHOICES = FeatureChoices(scale=["quantile"], encoding=["target"])


def rows(n=1500):
    rng = np.random.default_rng(7)
    rank = rng.random(n)
    city = rng.choice(list("abcdefgh"), n)
    y = np.where(rank + 0.3 * (city < "d") + rng.normal(0, 0.2, n) > 0.7, "yes", "no")
    return {"income": np.exp(12 * rank).round(3), "city": city, "y": y}


@pytest.fixture(scope="module")
def made(classic_spark, tmp_path_factory):
    raw = classic_spark.createDataFrame(pa.table(rows())).repartition(3)
    return made_with(classic_spark, raw, tmp_path_factory.mktemp("made"), {"choices": CHOICES})


def made_with(spark, raw, place, options):
    plan = fit_plan(raw, name="t", label="y", **options)
    table = publish_table(assemble(raw, plan.with_all_parts()), str(place), partition_by=[SPLIT])
    return plan, *(table.files(**{SPLIT: split}) for split in ("train", "validation"))


def jobs(spark, made, folder, folds):
    plan, train, validation = made
    data, frame = trial_data(spark, plan, train, validation, folds, Measure.of(plan.task), None)
    specs = {"linear": TrainSpec(learner="linear"), "lightgbm": TrainSpec(rounds=20)}
    return TrialJobs(spark, data, frame, specs, folder)


def asked(family, order=0, **choice):
    return Question(order, family, {f"features.{k}": v for k, v in choice.items()}, "search")


@pytest.mark.parametrize("folds", [FoldPlan(3, 1, ""), FoldPlan(0, 1, "")])
@pytest.mark.parametrize("by", ["files", "rows"])
def test_a_trial_of_a_choice_is_one_of_the_description_that_makes_it(
    classic_spark, made, tmp_path, monkeypatch, folds, by
):
    if by == "rows":
        monkeypatch.setattr(runner_module, "files_reachable", lambda *_: False)
    run = jobs(classic_spark, made, tmp_path / "one", folds)
    plain, ranked = run(asked("linear", 0)), run(asked("linear", 1, scale="quantile", encoding="target"))
    assert ranked.value < plain.value - 0.02
    again = run(asked("linear", 2, scale=AS_DESCRIBED))
    assert (again.value, again.folds) == (plain.value, plain.folds)
    first, second, third = (
        unpacked((tmp_path / "one" / f"{i}.npz").read_bytes())["answers"] for i in range(3)
    )
    np.testing.assert_array_equal(first, third)
    labels = unpacked((tmp_path / "one" / "labels.npz").read_bytes())["y"]
    measure = Measure.of("binary")
    for answers, outcome in ((first, plain), (second, ranked)):  # the labels of one are in order for all
        right = np.where(labels == 1, answers, 1 - answers)
        if not folds.folds:
            assert -np.log(right).mean() == pytest.approx(outcome.value)
        assert (right > 0.5).mean() > 0.7  # 0.55 where rows and labels are not in one order
    assert measure.metric == "logloss"


def test_choices_go_to_the_search_and_not_to_the_learner(made):
    plan = made[0]
    spec = SweepSpec(learners=["lightgbm", "linear"], features=CHOICES)
    families = {
        f.name: f for f in families_of(["lightgbm", "linear"], spec, TrainSpec(), "binary", plan=plan)
    }
    for family in families.values():
        assert family.space["features.scale"].choices == [AS_DESCRIBED, "quantile"]
        assert split_choice(family.portfolio[0].params)[0] == {
            "scale": AS_DESCRIBED,
            "encoding": AS_DESCRIBED,
        }
    assert [c.name for c in families["linear"].portfolio[-2:]] == ["scale quantile", "encoding target"]


def test_a_family_searches_what_suits_it(made):
    auto = SweepSpec(learners=["lightgbm", "linear"], features="auto")
    assert wanted_choices(auto, TrainSpec()) == FeatureChoices(
        scale=["quantile"], encoding=["target"], text_width=[256]
    )
    assert set(ranges_of("lightgbm", auto, made[0])) == {"features.encoding"}
    assert set(ranges_of("linear", auto, made[0])) == {"features.encoding", "features.scale"}
    assert wanted_choices(SweepSpec(), TrainSpec()) == FeatureChoices()


def test_a_choice_that_is_added_keeps_the_trials_and_one_that_goes_keeps_those_as_described(tmp_path, made):
    def sweep(features, trials):
        spec = SweepSpec(learners=["linear"], features=features)
        train = TrainSpec(learner="linear")
        plan = made[0] if features else made[0].chosen({})
        families = families_of(["linear"], spec, train, "binary", plan=plan)
        tried = []

        def value(question):
            tried.append(question.params)
            return TrialOutcome(question.params["alpha"])

        found = run_sweep(
            value, families=families, storage=tmp_path / "s.db", key={}, metric="m", maximize=False,
            trials=trials, minutes=1,
        )  # fmt: skip
        return tried, found

    sweep(None, 4)
    tried, found = sweep(CHOICES, 6)
    assert found.resumed == 4
    assert [split_choice(p)[0] for p in tried] == [
        {"scale": "quantile", "encoding": AS_DESCRIBED},
        {"scale": AS_DESCRIBED, "encoding": "target"},
    ]
    assert sweep(None, 4)[1].resumed == 4


def test_members_of_an_ensemble_take_the_features_of_the_best_trial(classic_spark, made, tmp_path):
    run = jobs(classic_spark, made, tmp_path / "one", FoldPlan(3, 1, ""))
    from synml_dagster.tuning import Candidate, Family

    questions = [("linear", "quantile"), ("lightgbm", "quantile"), ("linear", AS_DESCRIBED)]
    families = [
        Family(
            name,
            {},
            [Candidate(f"{i}", {"features.scale": o}) for i, (f, o) in enumerate(questions) if f == name],
        )
        for name in ("linear", "lightgbm")
    ]
    found = run_sweep(
        run, families=families, storage=tmp_path / "s.db", key={}, metric="logloss", maximize=False,
        trials=3, minutes=5,
    )  # fmt: skip
    found = with_ensemble(found, Measure.of("binary"), tmp_path / "one", 8)
    assert any("take the same features" in note and "2 trials of 3" in note for note in found.notes)
    assert {json.dumps(m.params) for m in found.ensemble} <= {'{"features.scale": "quantile"}'}


@pytest.mark.slow
def test_the_winning_choice_is_what_is_trained_exported_explained_and_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    pd.DataFrame(rows(3000)).to_csv(tmp_path / "t.csv", index=False)
    about = {
        "name": "p",
        "source": str(tmp_path / "t.csv"),
        "label": "y",
        "train": {"learner": "linear"},
        "sweep": {"trials": 4, "features": {"scale": ["quantile"]}, "against": ["kilobytes"], "most_milliseconds": 1000, "space": {"alpha": {"low": 1e-6, "high": 1e-3, "log": True}}},
    }  # fmt: skip
    job = MLPipeline.model_validate(about).definitions().resolve_job_def("p_train")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        assert result.success
        told = {
            e.asset_key.path[-1]: e.step_materialization_data.materialization.metadata
            for e in result.get_asset_materialization_events()
        }
    assert told["sweep"]["best parameters"].value["features.scale"] == "quantile"
    assert '"features": {"scale": "quantile"}' in told["sweep"]["leaderboard"].value
    assert told["model"]["features"].value == {"scale": "quantile"}
    (made_of,) = (path for path in (tmp_path / "data").rglob("made_of.json") if "/model/" in str(path))
    plan = FittedPipeline.load(made_of.parent).plan
    assert plan.columns[0].scale.kind == "quantile"
    assert plan.feature_names[0] == "income__quantile"
    assert plan.alternatives == []
    assert "logloss against kilobytes" in told["sweep"]["pictures"].value
    assert "on the front" in told["sweep"]["leaderboard"].value
    assert told["champion"]["champion version"].value == "1"
