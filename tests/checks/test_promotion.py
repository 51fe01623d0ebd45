from __future__ import annotations

import numpy as np
import pytest

from synml_dagster.checks import PromoteSpec, decide
from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import PairedGain


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


def test_a_bias_is_the_better_the_nearer_to_zero():
    assert not decide(PromoteSpec(), "bias", {"bias": -5.0}, {"bias": 1.0}).promote
    assert decide(PromoteSpec(), "bias", {"bias": -0.5}, {"bias": 1.0}).promote
    assert not decide(PromoteSpec(minimum=2), "bias", {"bias": -5.0}, None).promote


def test_a_gain_that_may_be_luck_is_not_enough_where_one_asks_to_be_sure():
    rule = PromoteSpec(confidence=0.95)
    lucky, sure = (PairedGain("auc", 0.01, np.linspace(low, 0.03, 1000), 500, 500) for low in (-0.01, 0.0001))
    asked = {"spec": rule, "metric": "auc", "challenger": {"auc": 0.81}, "champion": {"auc": 0.80}}
    found = decide(**asked, paired=lucky)
    assert not found.promote
    assert "promote.confidence asks to be 0.95 sure of the gain, and this is 75.0%" in found.reason
    assert "better in 100.0% of 1,000 draws of them" in decide(**asked, paired=sure).reason
    assert "which cannot be told of these rows" in decide(**asked).reason
    assert decide(**asked | {"champion": None}).promote
    # The gain that is asked for is what one must be sure of.
    asked["spec"] = PromoteSpec(confidence=0.95, minimum_gain=0.005)
    assert "and this is 83.6%" in decide(**asked, paired=sure).reason


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"most_kilobytes": 100}, "it takes 250 kB, and promote.most_kilobytes is 100"),
        (
            {"most_milliseconds": 1.5, "replace": True},
            "it takes 2 ms for 1,000 rows, and promote.most_milliseconds is 1.5",
        ),
        ({"most_kilobytes": 300, "most_milliseconds": 2}, "first champion, with auc 0.8"),
    ],
)
def test_what_is_too_large_or_too_slow_is_not_promoted(rule, said):
    costs = {"kilobytes": 250.0, "milliseconds": 2.0}
    assert decide(PromoteSpec(**rule), "auc", {"auc": 0.8}, None, costs=costs).reason == said
