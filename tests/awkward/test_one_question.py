"""A champion is beaten on its own question, by a model that is worth something; a sweep knows its own trials."""

from __future__ import annotations

import optuna
import pyarrow as pa
import pytest

from synml_dagster.checks import PromoteSpec, another_question, decide
from synml_dagster.errors import ConfigError
from synml_dagster.features import FeatureSpec, fit_plan
from synml_dagster.learners.lightgbm.metrics import is_higher_better, metric_names, stopping_metrics
from synml_dagster.learners.space import ParameterRange
from synml_dagster.tuning import Candidate, Family, TrialOutcome, run_sweep


def test_a_tie_promotes_nothing():
    found = decide(PromoteSpec(), "auc", {"auc": 0.8}, {"auc": 0.8})
    assert not found.promote
    assert "no better than the champion's 0.8" in found.reason


@pytest.mark.parametrize(
    ("metric", "value", "base"), [("auc", 0.5, 0.5), ("logloss", 4.7, 4.6), ("rmse", 2.0, 1.0)]
)
def test_a_model_below_its_baseline_is_not_even_a_first_champion(metric, value, base):
    found = decide(PromoteSpec(), metric, {metric: value}, None, baseline={metric: base})
    assert not found.promote
    assert "promote.below_baseline" in found.reason
    asked = PromoteSpec(below_baseline=True)
    assert decide(asked, metric, {metric: value}, None, baseline={metric: base}).promote


def test_a_champion_of_another_question_is_replaced_with_a_word_or_kept_where_asked():
    new = {"auc": 0.8}
    assert "it predicts 'a'" in decide(PromoteSpec(), "auc", new, None, incomparable="it predicts 'a'").reason
    kept = decide(PromoteSpec(replace=False), "auc", new, None, incomparable="it predicts 'a'")
    assert not kept.promote
    assert "promote.replace: true" in kept.reason
    assert decide(PromoteSpec(replace=True), "auc", new, {"auc": 0.9}).promote


def test_what_makes_a_question_another_one(classic_spark):
    rows = {
        "x": [float(i) for i in range(60)],
        "leak": [i % 2 for i in range(60)],
        "a": ["yes", "no"] * 30,
        "b": ["late", "paid", "late"] * 20,
    }
    frame = classic_spark.createDataFrame(pa.table(rows))

    def plan(label, **features):
        return fit_plan(frame, name="p", label=label, features=FeatureSpec(**features))

    whole = plan("a", exclude=["b"])
    assert another_question(whole, whole) is None
    assert "it predicts 'a', and this one 'b'" in str(another_question(plan("b", exclude=["a"]), whole))
    assert "it uses 'leak'" in str(another_question(plan("a", exclude=["b", "leak"]), whole))
    classes = whole.label.model_copy(update={"classes": ["no", "maybe"]})
    other = whole.model_copy(update={"label": classes})
    assert "without ['maybe'] and with ['yes']" in str(another_question(whole, other))
    assert whole.identity != plan("a", exclude=["b", "leak"]).identity


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("auc", True),
        ("mean_average_precision", True),
        ("ndcg@5", True),
        ("auc_mu", True),
        ("l2", False),
        ("multi_logloss", False),
        ("mape", False),
        ("average_precision", True),
        ("map", True),
    ],
)
def test_which_way_is_better_is_lightgbms_own_word(metric, higher):
    assert is_higher_better(metric) is higher


def test_an_unknown_metric_is_refused():
    with pytest.raises(ConfigError, match="no metric 'acu'"):
        is_higher_better("acu")


def test_what_judges_the_order_alone_does_not_stop():
    assert metric_names("map, ndcg") == ["map", "ndcg"]
    assert stopping_metrics("auc", "binary") == ["binary_logloss", "auc"]
    assert stopping_metrics(["l1", "auc"], "regression") == ["l1", "auc"]


def test_a_trial_that_a_kill_broke_off_runs_again_with_its_parameters(tmp_path):
    space = {"x": ParameterRange(low=0.0, high=1.0)}
    seen: list[float] = []

    def killed(question):
        seen.append(question.params["x"])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return TrialOutcome(question.params["x"])

    def sweep(train):
        return run_sweep(
            train,
            families=[Family("f", space, [Candidate("default", {"x": 0.25})])],
            storage=tmp_path / "s.db",
            key={"k": 1},
            metric="m",
            maximize=False,
            trials=3,
            minutes=1,
        )

    with pytest.raises(KeyboardInterrupt):
        sweep(killed)
    assert seen[0] == 0.25
    again: list[float] = []
    sweep(lambda q: (again.append(q.params["x"]), TrialOutcome(q.params["x"]))[1])
    assert again[0] == seen[1]


def test_a_kill_in_the_first_trial_does_not_lose_the_defaults(tmp_path):
    space = {"x": ParameterRange(low=0.0, high=1.0)}
    families = [Family("f", space, [Candidate("default", {"x": 0.25})])]
    told = {"families": families, "storage": tmp_path / "s.db", "key": {}, "metric": "m", "maximize": False}

    def killed(question):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(killed, **told, trials=2, minutes=1)
    seen: list[float] = []
    run_sweep(
        lambda q: (seen.append(q.params["x"]), TrialOutcome(q.params["x"]))[1],
        **told,
        trials=2,
        minutes=1,
    )
    assert seen.count(0.25) == 1
    assert seen[0] == 0.25
    optuna.logging.set_verbosity(optuna.logging.WARNING)
