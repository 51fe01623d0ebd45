from __future__ import annotations

import pytest

from synml_dagster.checks import PromoteSpec, decide
from synml_dagster.errors import ConfigError


def test_the_first_challenger_is_promoted():
    found = decide(PromoteSpec(), "auc", {"auc": 0.8}, None)
    assert found.promote
    assert "first champion" in found.reason


def test_below_the_minimum_nothing_is_promoted():
    found = decide(PromoteSpec(minimum=0.9), "auc", {"auc": 0.8}, None)
    assert not found.promote
    assert found.reason == "auc is 0.8 and must be at least 0.9"


def test_for_an_error_the_minimum_is_what_it_must_not_exceed():
    assert not decide(PromoteSpec(minimum=2), "rmse", {"rmse": 3.0}, None).promote
    assert decide(PromoteSpec(minimum=2), "rmse", {"rmse": 1.0}, None).promote


@pytest.mark.parametrize(
    ("metric", "challenger", "champion", "promoted"),
    [
        ("auc", 0.80, 0.79, True),
        ("auc", 0.80, 0.81, False),
        ("rmse", 3.0, 3.2, True),
        ("rmse", 3.0, 2.9, False),
    ],
)
def test_the_better_one_on_the_same_rows_is_champion(metric, challenger, champion, promoted):
    assert decide(PromoteSpec(), metric, {metric: challenger}, {metric: champion}).promote is promoted


def test_a_gain_below_the_one_asked_for_is_not_enough():
    rule = PromoteSpec(minimum_gain=0.01)
    assert not decide(rule, "auc", {"auc": 0.805}, {"auc": 0.80}).promote
    assert decide(rule, "auc", {"auc": 0.815}, {"auc": 0.80}).promote


def test_an_undefined_metric_promotes_nothing():
    assert not decide(PromoteSpec(), "auc", {"auc": float("nan")}, None).promote


def test_a_metric_that_the_task_does_not_have_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'logloss'"):
        decide(PromoteSpec(metric="log_loss"), "log_loss", {"auc": 0.8, "logloss": 0.1}, None)
