"""Judgements by recorded facts, without Spark; and what a description may not ask for."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.checks.answers import AnswerBins, answer_bins, judge_answers
from synml_dagster.checks.drift import ColumnDrift, Drift
from synml_dagster.checks.keys import hours_old
from synml_dagster.checks.rows_seen import judge_nulls, judge_ranges
from synml_dagster.checks.spec import NullsCheck, PredictionsCheck, RangesCheck, RowCountCheck
from synml_dagster.checks.table_facts import judge_row_counts
from synml_dagster.evaluation import Evaluation

PLAIN = {"name": "p", "source": "a.csv", "label": "y"}


def column(name, **facts):
    blank = {
        "numeric": True, "rows": 1000, "bins": [], "expected": [], "found": [], "psi": 0.0, "chance": 0.0,
        "js_distance": 0.0, "ks": 0.0, "missing_before": 0.0, "missing": 0.0, "outside": 0, "new": None,
    }  # fmt: skip
    return ColumnDrift.model_validate(blank | {"column": name} | facts)


def test_row_counts_are_judged_by_the_median_of_those_before():
    spec = RowCountCheck(at_least=0.5, at_most=2)
    assert judge_row_counts({None: 100}, {None: []}, spec)[0]
    assert judge_row_counts({None: 100}, {None: [90, 9000, 110]}, spec)[0]
    passed, said = judge_row_counts({"mon": 100, "tue": 4}, {"mon": [99], "tue": [99]}, spec)
    assert not passed
    assert said.startswith("'tue': 4 rows, and 99 are usual")
    assert not judge_row_counts({None: 201}, {None: [100]}, spec)[0]
    assert not judge_row_counts({None: 5}, {None: [0, 0]}, spec)[0]
    old = [100] * 3 + [1] * 50
    assert not judge_row_counts({None: 4}, {None: old}, RowCountCheck(history=3))[0]


def test_missing_values_are_judged_against_training_and_the_worst_comes_first():
    found = Drift(
        rows=1000,
        notes=[],
        columns=[
            column("a", missing=0.15, missing_before=0.1),
            column("b", missing=0.3),
            column("c", missing=0.9),
        ],
    )
    passed, said, bad = judge_nulls(found, NullsCheck(rise=0.1))
    assert not passed
    assert [c.column for c in bad] == ["c", "b"]
    assert said.startswith("values are missing: 'c' in 90.0% of the rows (training: 0.0%); 'b' in 30.0%")
    assert judge_nulls(found, NullsCheck(columns=["a"]))[0]
    assert judge_nulls(found, NullsCheck(minimum_rows=2000))[0]


def test_few_values_outside_of_the_range_pass():
    found = Drift(rows=1000, notes=[], columns=[column("a", outside=10)])
    assert judge_ranges(found, RangesCheck(share=0.01), [], None)[0]


def test_answers_are_counted_by_what_an_evaluation_keeps():
    scores = {"edges": [0.0, 0.5, 1.0], "positive": [10, 30], "negative": [50, 10]}
    test = Evaluation(task="binary", rows=100, weight=100, metrics={}, scores=scores)
    bins = answer_bins(test)
    assert bins == AnswerBins("probability", (0.5,), ("< 0.5", ">= 0.5"), (60.0, 40.0))
    spec = PredictionsCheck(minimum_rows=100)
    assert judge_answers([600, 400], bins, spec)[0]
    passed, said, index = judge_answers([100, 900], bins, spec)
    assert not passed
    assert index > 0.2
    assert "most moved probability < 0.5: 10.0% of 1000 rows, and 60.0% of the test rows" in said
    assert judge_answers([1, 2], bins, spec)[0]


def test_answers_of_a_regression_are_compared_with_answers_and_not_with_labels():
    """Ten predictions below 1, of which nine labels are above."""
    grid = {"x_edges": [0.0, 1.0, 2.0], "y_edges": [0.0, 1.0, 2.0], "weight": [[1, 9], [0, 90]]}
    test = Evaluation(task="regression", rows=100, weight=100, metrics={}, actual_vs_predicted=grid)
    bins = answer_bins(test)
    assert (bins.edges, bins.expected) == ((1.0,), (10.0, 90.0))
    assert judge_answers([100, 900], bins, PredictionsCheck())[0]


def test_answers_are_not_compared_with_weights():
    scores = {"edges": [0.0, 0.5, 1.0], "positive": [100, 300], "negative": [5, 1]}
    test = Evaluation(task="binary", rows=100, weight=406, weighted=True, metrics={}, scores=scores)
    passed, said, index = judge_answers([600, 400], answer_bins(test), PredictionsCheck())
    assert (passed, index) == (True, None)
    assert "had weights" in said


def test_a_day_is_fresh_until_its_end():
    assert hours_old(date(2026, 1, 1), datetime(2026, 1, 2, 6, tzinfo=UTC)) == 6
    assert hours_old(datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 18, tzinfo=UTC)) == 6


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"nulls": {"blocking": True}}, "blocking needs severity: error"),
        ({"row_count": {"at_least": 2, "at_most": 1}}, "is not below"),
        ({"duplicates": {}}, "Field required"),
        ({"freshness": {"column": "d", "hours": 0}}, "greater than 0"),
        ({"ranges": {"share": 2}}, "less than or equal to 1"),
        ({"ranges": {"columns": ["y"]}}, "checks.ranges.columns names 'y', which is the label"),
        ({"schema": {}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_at_load(checks, said):
    with pytest.raises(ValidationError, match=said):
        MLPipeline.model_validate(PLAIN | {"checks": checks})
