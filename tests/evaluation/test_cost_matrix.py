"""Decisions by a table of costs: those of the lowest expected cost by brute force, priced as a loop over the rows would."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import CostMatrix, Evaluation, decide, evaluate
from tests.evaluation.test_against_sklearn import multiclass_table

COSTS = {
    "a": {"b": 1, "c": 2, "d": 3, "a": 0.25},
    "b": {"a": 8, "c": 1, "d": 1},
    "c": {"a": 40, "b": 0, "d": 2},
    "d": {"a": 1, "b": 1, "c": 1},
}
CLASSES = ["a", "b", "c", "d"]


def by_brute_force(p):
    """Of each row the answer whose expected cost is lowest, and the cost, with no matrix product."""
    each = [
        [sum(row[i] * COSTS[t].get(a, 0) for i, t in enumerate(CLASSES)) for a in CLASSES]
        for row in p.tolist()
    ]
    best = [min(range(4), key=lambda j: costs[j]) for costs in each]
    return np.array(best), np.array([costs[j] for costs, j in zip(each, best, strict=True)])


@pytest.mark.parametrize("weight", [None, "w"])
def test_a_table_of_costs_is_decided_and_priced_as_by_brute_force(classic_spark, weight, tmp_path):
    table, p = multiclass_table()
    frame = classic_spark.createDataFrame(table).repartition(3)
    asked = CostMatrix(costs=COSTS, unit="EUR")
    found = evaluate(frame, task="multiclass", classes=CLASSES, weight=weight, cost_matrix=asked)
    best, expected = by_brute_force(p.astype(np.float64))
    ours, cost = decide(p.astype(np.float64), np.array(asked.matrix(CLASSES)))
    assert ours.tolist() == best.tolist()
    assert cost == pytest.approx(expected)
    y, w = table["__label"].to_numpy(), np.ones(len(table)) if weight is None else table["w"].to_numpy()

    def price(answers):
        return np.array(
            [COSTS[CLASSES[t]].get(CLASSES[a], 0) for t, a in zip(y, answers, strict=True)], float
        )

    likeliest = p.argmax(1)
    made = found.decision
    assert made.cost.value == pytest.approx(np.average(price(best), weights=w))
    assert made.cost_of_likeliest.value == pytest.approx(np.average(price(likeliest), weights=w))
    assert made.expected == pytest.approx(np.average(expected, weights=w))
    assert made.changed == pytest.approx(np.average(best != likeliest, weights=w))
    assert made.cost.value < made.cost_of_likeliest.value  # the labels were drawn by these probabilities
    counts = np.zeros((4, 4))
    np.add.at(counts, (y, best), w)
    assert np.allclose(made.confusion.weight, counts)
    if weight is None:
        saved = price(likeliest) - price(best)
        error = saved.std(ddof=1) / np.sqrt(len(saved))
        assert made.saved.low == pytest.approx(saved.mean() - 1.9612 * error, abs=1e-4)
    found.save(tmp_path)
    assert Evaluation.load(tmp_path) == found


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ({"a": {"b": -1}}, "answering 'b' where 'a' is true costs -1; costs are finite numbers of 0 or more"),
        ({"a": {"b": float("inf")}}, "costs inf; costs are finite"),
        ({"a": {"b": 0.0}}, "all costs are 0"),
        ({"a": {"b": "much"}}, "valid number"),
    ],
)
def test_costs_that_are_none_are_refused(costs, said):
    with pytest.raises(ValidationError, match=said):
        CostMatrix(costs=costs)


def test_classes_and_cells_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match=r"the class 'aa', and the label has 'a', 'b', 'c', 'd'"):
        CostMatrix(costs=COSTS | {"aa": {"b": 1}}).matrix(CLASSES)
    with pytest.raises(ConfigError, match=r"the class 'false', .* write them in quotes"):
        CostMatrix(costs={False: {"maybe": 1}}).matrix(["maybe", "no", "yes"])
    with pytest.raises(
        ConfigError, match=r"3 of the 12 wrong answers cost: 'a' where 'd' is true, 'b' where 'd'"
    ):
        CostMatrix(costs={k: v for k, v in COSTS.items() if k != "d"}).matrix(CLASSES)
    assert CostMatrix(costs={0: {1: 2, 2: 1}, 1: {0: 1, 2: 1}, 2: {0: 1, 1: 1}}).matrix(["0", "1", "2"])[
        0
    ] == [0, 2, 1]


def test_what_does_not_go_together_is_refused():
    described = {"name": "p", "source": "a.csv", "label": "y"}
    matrix = {"costs": COSTS}
    with pytest.raises(ValidationError, match=r"evaluate.cost_matrix about more; keep one"):
        MLPipeline(
            **described, evaluate={"costs": {"false_positive": 1, "false_negative": 1}, "cost_matrix": matrix}
        )
    with pytest.raises(ValidationError, match=r"the task is binary; take evaluate.costs"):
        MLPipeline(**described, task="binary", evaluate={"cost_matrix": matrix})
