"""Feature choices as part of a search: trials of all choices see the same rows in one order, and the winner is what is trained."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets import sweep as sweep_module
from synml_dagster.assets.artifacts import FittedPipeline
from synml_dagster.checks.drift import measure_drift
from synml_dagster.explain import explain_predictions
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.features import AS_DESCRIBED, SPLIT, FeatureChoices, FeaturePlan, assemble, fit_plan
from synml_dagster.learners import TrainedModel, TrainSpec, learner_of
from synml_dagster.learners.ensemble import Member, combined
from synml_dagster.learners.one_process.rows import background, read_rows
from synml_dagster.onnx import OnnxModel
from synml_dagster.tables import publish_table
from synml_dagster.tuning import Question, SweepSpec, TrialOutcome, run_sweep
from synml_dagster.tuning import runner as runner_module
from synml_dagster.tuning.choice import families_of
from synml_dagster.tuning.feature_choice import ranges_of, split_choice, wanted_choices
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.result import EnsembleMember
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


MEMBERS = (("linear", {"scale": "quantile"}), ("lightgbm", {"encoding": "target"}), ("extra_trees", {}))


def test_each_member_has_its_own_features_in_one_graph(classic_spark, made, tmp_path):
    whole, train, validation = made
    raw = classic_spark.createDataFrame(pa.table(rows(600)))
    models = []
    for name, choice in MEMBERS:
        plan, keys = whole.chosen(choice), {} if name != "lightgbm" else {"rounds": 20}
        spec = TrainSpec(learner=name, **keys)
        models.append(learner_of(name).fit(classic_spark, plan, spec, {}, train, validation))
    plan = whole.chosen_together([choice for _, choice in MEMBERS])
    assert plan.feature_names == ["income__quantile", "income", "city", "city__target"]
    assert [c.name for c in plan.columns] == ["income", "city"]
    assert FeaturePlan.from_json(plan.to_json()) == plan
    held = read_rows(classic_spark, validation, plan.feature_names)
    model = combined(
        [Member(m, w) for m, w in zip(models, (2, 1, 1), strict=True)],
        {"validation": {"logloss": [0.5]}}, background(held.X), plan.feature_names,
    )  # fmt: skip
    own = [held.X[:, [plan.feature_names.index(f) for f in m.features]] for m in models]
    want = sum(w * m.predict(x) for w, m, x in zip((0.5, 0.25, 0.25), models, own, strict=True))
    np.testing.assert_allclose(model.predict(held.X), want, rtol=1e-12)
    model.save(tmp_path)
    np.testing.assert_array_equal(TrainedModel.load(tmp_path).predict(held.X), model.predict(held.X))
    graph = OnnxModel(export_pipeline(plan, model))
    assert check_parity(classic_spark, plan, model, graph, raw, rows=200).passed
    told = explain_predictions(raw.limit(3), graph, model, plan, keep=[]).toPandas()
    added = told["contribution_income"] + told["contribution_city"] + told["base_value"]
    np.testing.assert_allclose(added, told["probability"], atol=1e-6)
    drift = {c.column: c for c in measure_drift([raw], plan, importance=model.importance()).columns}
    assert {name: c.rows for name, c in drift.items()} == {"income": 600, "city": 600}
    assert sum(c.importance for c in drift.values()) == pytest.approx(1)


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


@pytest.mark.slow
def test_an_ensemble_over_choices_goes_the_whole_way(tmp_path, monkeypatch):
    """Members on ranks and on the numbers themselves, trained again on the validation rows: one model, compared and promoted."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    pd.DataFrame(rows(1500)).to_csv(tmp_path / "t.csv", index=False)

    def both(result, *_):
        chosen = [t for t in result.trials if t.origin in ("default", "scale quantile")]
        return result.model_copy(
            update={"ensemble": [EnsembleMember(trial=t.number, learner=t.learner, params=t.params, weight=0.5) for t in chosen], "ensemble_value": 0.5}
        )  # fmt: skip

    monkeypatch.setattr(sweep_module, "with_ensemble", both)
    about = {
        "name": "p",
        "source": str(tmp_path / "t.csv"),
        "label": "y",
        "train": {"learner": "linear", "refit": True},
        "sweep": {"trials": 4, "features": {"scale": ["quantile"]}, "ensemble": 4},
    }
    job = MLPipeline.model_validate(about).definitions().resolve_job_def("p_train")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        assert result.success
        told = {
            e.asset_key.path[-1]: e.step_materialization_data.materialization.metadata
            for e in result.get_asset_materialization_events()
        }
    assert sorted(map(str, told["model"]["features"].value.values())) == ["{'scale': 'quantile'}", "{}"]
    assert told["model"]["warnings"].value.count("trained again on training and validation rows") == 2
    (made_of,) = (path for path in (tmp_path / "data").rglob("made_of.json") if "/model/" in str(path))
    fitted = FittedPipeline.load(made_of.parent)
    assert fitted.model.features == fitted.plan.feature_names == ["income", "income__quantile", "city"]
    assert [places is None for places in fitted.model.form.places] == [False, False]
    assert told["champion"]["champion version"].value == "1"
