"""The threshold that costs ask for: the one a search over all would find, priced on rows that did not choose it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.evaluation import Costs, Evaluation, choose_threshold, evaluate
from synml_dagster.evaluation.costs import ChosenThreshold, best_threshold, priced
from tests.evaluation.test_against_sklearn import binary_table
from tests.evaluation.test_intervals import bins_of, drawn_binary


def cost_of(y, p, threshold, costs) -> float:
    flagged = p >= threshold
    return float(np.mean(np.where(flagged, costs.false_positive * (1 - y), costs.false_negative * y)))


@pytest.mark.parametrize(("fp", "fn"), [(1, 5), (5, 1), (1, 1), (0, 1), (1, 0)])
def test_no_other_threshold_costs_less(fp, fn):
    costs = Costs(false_positive=fp, false_negative=fn)
    y, p = drawn_binary(np.random.default_rng(3), 400)
    best = best_threshold(bins_of(y, p), costs)
    least = min(cost_of(y, p, t, costs) for t in [*np.unique(p), 1.1])
    assert cost_of(y, p, best, costs) == pytest.approx(least)


def test_of_equally_good_thresholds_the_one_of_calibrated_probabilities_is_nearest():
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert best_threshold(bins_of(y, p), Costs(false_positive=1, false_negative=1)) == pytest.approx(0.5)


def test_where_flagging_anything_costs_more_nothing_is_flagged():
    y, p = np.array([0, 1, 0, 0]), np.array([1.0, 0.3, 0.2, 0.1])
    costs = Costs(false_positive=100, false_negative=1)
    at = best_threshold(bins_of(y, p), costs)
    assert at > 1
    assert priced(bins_of(y, p), ChosenThreshold(at, costs, 4)).at.flagged == 0


def test_calibrated_probabilities_are_cut_where_theory_says():
    costs = Costs(false_positive=1, false_negative=4)
    y, p = drawn_binary(np.random.default_rng(0), 300_000)
    assert best_threshold(bins_of(y, p), costs) == pytest.approx(costs.of_calibrated, abs=0.03)


def test_a_table_is_priced_at_a_threshold_that_another_chose(classic_spark):
    costs = Costs(false_positive=1, false_negative=5, unit="EUR")
    one, other = binary_table(1_500, seed=1), binary_table(1_500, seed=2)
    chosen = choose_threshold(classic_spark.createDataFrame(one), costs)
    found = evaluate(classic_spark.createDataFrame(other), task="binary", chosen=chosen)
    y, p = other["__label"].to_numpy(), other["probability"].to_numpy().astype(float)
    made = found.choice
    assert made.threshold == chosen.threshold != 0.5
    assert made.chosen_rows == 1_500
    assert made.cost.value == pytest.approx(cost_of(y, p, chosen.threshold, costs))
    assert made.cost_at_half.value == pytest.approx(cost_of(y, p, 0.5, costs))
    assert made.saved.value == pytest.approx(made.cost_at_half.value - made.cost.value)
    each = np.where(p >= chosen.threshold, 1 - y, 5 * y) - np.where(p >= 0.5, 1 - y, 5 * y)
    error = each.std(ddof=1) / np.sqrt(len(each))
    assert made.saved.low == pytest.approx(-each.mean() - 1.9615 * error, abs=1e-4)
    assert made.at.true_positive + made.at.false_negative == y.sum()
    assert made.curve.cost[50] == pytest.approx(made.cost_at_half.value)


def test_a_choice_survives_its_file(tmp_path):
    costs = Costs(false_positive=1, false_negative=5)
    y, p = drawn_binary(np.random.default_rng(3), 100)
    made = priced(bins_of(y, p), ChosenThreshold(0.2, costs, 100))
    found = Evaluation(task="binary", rows=100, weight=100, metrics={}, choice=made)
    found.save(tmp_path)
    assert Evaluation.load(tmp_path) == found


def test_what_cannot_be_is_refused(classic_spark):
    with pytest.raises(ValidationError, match="both costs are 0"):
        Costs(false_positive=0, false_negative=0)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Costs(false_positive=-1, false_negative=1)
    costs = Costs(false_positive=1, false_negative=1)
    with pytest.raises(ConfigError, match="this one is regression"):
        evaluate(
            classic_spark.createDataFrame(pd.DataFrame({"__label": [1.0], "prediction": [1.0]})),
            task="regression",
            chosen=ChosenThreshold(0.3, costs, 9),
        )
    with pytest.raises(DataError, match="a probability that is missing"):
        choose_threshold(
            classic_spark.createDataFrame([(1.0, 2.0)], "__label double, probability double"), costs
        )
