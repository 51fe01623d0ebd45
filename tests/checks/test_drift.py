"""Distances by hand and against scipy, the counting by Spark against pandas, and what plans without histograms say."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synml_dagster.checks.drift import (
    DriftSpec,
    check_columns,
    compared,
    ks_distance,
    measure_drift,
    psi,
    psi_by_chance,
)
from synml_dagster.checks.drift_counts import ABOVE, BELOW, MISSING, NEW, OTHER, Watched, watch
from synml_dagster.checks.rows_seen import judge_nulls, judge_ranges
from synml_dagster.checks.spec import NullsCheck, RangesCheck
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features import ColumnStats, FeatureSpec, Histogram, fit_plan
from synml_dagster.features.profile.column_sample import histogram

ANY = DriftSpec(minimum_rows=1)


class Named:
    """As much of a fitted column as the distances look at."""

    def __init__(self, name: str) -> None:
        self.name, self.features = name, [name]


def numbers(values: list[float], missing: int = 0, infinite: int = 0) -> Watched:
    return Watched(
        Named("x"),
        ColumnStats(
            column="x", type="double", rows=len(values) + missing + infinite, missing=missing, infinite=infinite,
            minimum=min(values), maximum=max(values), histogram=histogram(np.sort(np.array(values, dtype=float))),
        ),
    )  # fmt: skip


def words(top: dict[str, int], missing: int = 0, known: tuple[str, ...] | None = ()) -> Watched:
    stats = ColumnStats(
        column="w",
        type="string",
        rows=sum(top.values()) + missing,
        missing=missing,
        distinct=len(top),
        top=top,
    )
    return Watched(Named("w"), stats, known)


def test_the_index_is_the_sum_over_bins_and_an_empty_bin_counts_as_half_a_row():
    # (.4-.5)ln(.4/.5) + (.6-.5)ln(.6/.5)
    assert psi([40, 60], [50, 50]) == pytest.approx(0.1 * np.log(1.5))
    assert psi([7, 3], [70, 30]) == 0
    p, q = np.array([0.5, 10, 10]) / 20, np.array([10, 5, 5]) / 20
    assert psi([0, 10, 10], [10, 5, 5]) == pytest.approx(((p - q) * np.log(p / q)).sum())


def test_rows_of_one_distribution_stay_below_what_chance_explains():
    rng = np.random.default_rng(0)
    q = np.full(20, 0.05)
    found = [psi(rng.multinomial(500, q), rng.multinomial(400, q)) for _ in range(4_000)]
    assert 0.99 < np.mean(np.array(found) < psi_by_chance(20, 500, 400)) < 1
    assert np.mean(found) == pytest.approx((1 / 500 + 1 / 400) * 19, rel=0.1)
    assert psi_by_chance(1, 10, 10) == 0


def test_distances_are_those_of_scipy_where_each_value_is_a_bin():
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import ks_2samp

    before, now = [1, 1, 1, 2, 2, 3, 5, 5], [1, 2, 3, 3, 3, 5, 5]
    one = numbers([float(v) for v in before])
    assert one.stats.histogram == Histogram(edges=[1, 2, 3], counts=[3, 2, 1, 2])
    made = compared(one, Counter({0: 1, 1: 1, 2: 3, 3: 2}))
    assert made.ks == pytest.approx(ks_2samp(before, now).statistic)
    assert made.js_distance == pytest.approx(
        jensenshannon([3 / 8, 2 / 8, 1 / 8, 2 / 8], [1 / 7, 1 / 7, 3 / 7, 2 / 7])
    )
    assert made.psi == pytest.approx(psi([1, 1, 3, 2], [3, 2, 1, 2]))
    assert made.bins == ["≤ 1", "≤ 2", "≤ 3", "> 3"]


def test_of_many_values_the_distance_is_at_most_a_bin_below_that_of_the_values():
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(1)
    before, now = np.sort(rng.normal(size=4_000)), rng.normal(0.4, 1.3, 3_000)
    made = histogram(before)
    assert len(made.edges) == 19
    assert made.counts == [200] * 20
    here = np.histogram(now, [-np.inf, *made.edges, np.inf])[0]
    exact = ks_2samp(before, now).statistic
    assert exact - 0.05 <= ks_distance(here, made.counts) <= exact


def test_a_value_that_many_rows_have_is_counted_once():
    made = histogram(np.sort(np.append(np.zeros(420), np.arange(1, 581))))
    assert made.edges[0] == 0
    assert made.counts[0] == 420
    assert sum(made.counts) == 1000
    assert len(set(made.edges)) == len(made.edges)
    assert histogram(np.array([4.0, 4.0])) == Histogram(edges=[], counts=[2])


def test_missing_unseen_and_infinite_are_bins_of_their_own():
    made = compared(numbers([1.0, 2.0], missing=2), Counter({0: 1, 1: 1, MISSING: 1, BELOW: 2, ABOVE: 3}))
    assert made.bins == ["(missing)", "below training", "≤ 1", "> 1", "above training"]
    assert made.expected == [0.5, 0, 0.25, 0.25, 0]
    assert (made.missing_before, made.missing, made.outside, made.new) == (0.5, 1 / 8, 5, None)
    endless = compared(numbers([1.0, 2.0], infinite=2), Counter({0: 1, 1: 1, -6: 2}))
    assert endless.bins == ["≤ 1", "> 1", "infinite"]
    assert endless.psi == 0


def test_new_words_are_counted_where_all_old_ones_are_known():
    made = compared(words({"a": 6, "b": 2}), Counter({0: 3, 1: 1, NEW: 4}))
    assert (made.bins, made.new, made.ks) == (["a", "b", "(new words)"], 4, None)
    assert compared(words({"a": 6, "b": 2}, known=None), Counter({0: 3, OTHER: 1})).new is None
    gone = compared(words({"a": 6}, missing=2), Counter({MISSING: 8}))
    assert gone.found == [1, 0]


def test_few_rows_say_nothing_and_the_worst_comes_first(people, classic_spark):
    plan = fit_plan(classic_spark.createDataFrame(people), name="p", label="came_back")
    found = measure_drift([classic_spark.createDataFrame(people)], plan, importance={"age": 3.0, "city": 1.0})
    assert found.passed(ANY)
    assert found.drifted(DriftSpec(minimum_rows=301, psi=1e-9)) == []
    assert "too few" in found.said(DriftSpec(minimum_rows=301))
    indices = [c.psi for c in found.columns]
    assert indices == sorted(indices, reverse=True)
    assert {c.column: c.importance for c in found.columns}["age"] == 0.75


def test_spark_counts_what_pandas_counts_and_names_the_columns_that_moved(people, spark):
    plan = fit_plan(spark.createDataFrame(people), name="p", label="came_back")
    today = people.drop(columns="came_back")
    today["age"] += 40
    today["city"] = today["city"].replace("Hamar", 'Bodø\'s "new" \\place')
    first, second = spark.createDataFrame(today[:100]), spark.createDataFrame(today[100:])
    found = measure_drift([first, second], plan)
    by_name = {c.column: c for c in found.columns}
    assert found.rows == 300
    assert {c.column for c in found.drifted(ANY)} == {"age", "city"}
    assert not by_name["member"].drifted(ANY.psi)
    age, stats = by_name["age"], plan.statistics_of("age")
    assert age.outside == ((today["age"] > stats.maximum) | (today["age"] < stats.minimum)).sum()
    assert age.missing == pytest.approx(today["age"].isna().mean())
    shares = dict(zip(age.bins, age.found, strict=True))
    assert shares["above training"] * 300 == pytest.approx((today["age"] > stats.maximum).sum())
    edge = stats.histogram.edges[9]
    upto = sum(
        share
        for name, share in zip(age.bins, age.found, strict=True)
        if name in age.bins[: age.bins.index(f"≤ {edge:.6g}") + 1] and name != "(missing)"
    )
    assert upto * 300 == pytest.approx((today["age"] <= edge).sum())
    city = by_name["city"]
    assert city.new == (today["city"].str.startswith("Bodø") == True).sum()  # noqa: E712
    assert dict(zip(city.bins, city.found, strict=True))["Oslo"] == pytest.approx(
        (today["city"] == "Oslo").mean()
    )
    assert "'age'" in found.said(ANY)


def test_dates_and_free_text_are_not_compared_and_the_notes_say_so(people, classic_spark):
    plan = fit_plan(classic_spark.createDataFrame(people), name="p", label="came_back")
    found = measure_drift([classic_spark.createDataFrame(people)], plan)
    assert not {"joined", "review"} & {c.column for c in found.columns}
    assert any("dates and times" in n for n in found.notes)
    assert any("'review'" in n for n in found.notes)
    dated = people.assign(joined=pd.to_datetime(people["joined"]))
    plan = fit_plan(classic_spark.createDataFrame(dated), name="p", label="came_back")
    later = classic_spark.createDataFrame(dated.assign(joined=dated["joined"] + pd.Timedelta(days=9_000)))
    (moved,) = measure_drift([later], plan, ["joined"]).columns
    assert moved.column == "joined"
    assert moved.outside > 200


def test_checks_that_are_counted_together_each_see_what_they_ask_for(people, classic_spark):
    """One asks for all columns, which leaves dates out, another for a date, a third for missing values of free text."""
    dated = people.assign(joined=pd.to_datetime(people["joined"]))
    plan = fit_plan(classic_spark.createDataFrame(dated), name="p", label="came_back")
    later = dated.assign(joined=dated["joined"] + pd.Timedelta(days=9_000), review=None)
    rows = classic_spark.createDataFrame(later, classic_spark.createDataFrame(dated).schema)
    found = measure_drift([rows], plan, named=["joined", "age", "review"], presence=True)

    assert {c.column for c in found.only(None).columns} == {"age", "city", "member"}
    assert found.only(None).passed(ANY)
    assert not found.only(["joined"]).passed(ANY)
    assert "'joined'" in found.only(["joined", "age"]).said(ANY)
    assert not found.only(["review", "age"]).passed(ANY)
    assert "'review' cannot be compared" in found.only(["review", "age"]).said(ANY)

    for columns in (None, ["review"]):
        passed, said, (bad,) = judge_nulls(found, NullsCheck(columns=columns, minimum_rows=1))
        assert (passed, bad.column, bad.missing) == (False, "review", 1.0)
        assert bad.missing_before == pytest.approx(people["review"].isna().mean(), abs=0.05)
    assert judge_nulls(found, NullsCheck(columns=["age"], minimum_rows=1))[0]

    assert judge_ranges(found, RangesCheck(minimum_rows=1), [rows], plan)[0]
    assert not judge_ranges(found, RangesCheck(columns=["review"], minimum_rows=1), [rows], plan)[0]
    passed, said, _ = judge_ranges(found, RangesCheck(columns=["joined"], minimum_rows=1), [rows], plan)
    assert not passed
    assert later["joined"].astype(str).isin(re.findall(r"\d{4}-\d\d-\d\d", said)).any(), said


def test_infinity_is_outside_of_a_range_without_one(people, classic_spark):
    plan = fit_plan(classic_spark.createDataFrame(people), name="p", label="came_back")
    rows = classic_spark.createDataFrame(people.assign(age=np.inf))
    found = measure_drift([rows], plan)
    passed, said, _ = judge_ranges(found, RangesCheck(minimum_rows=1), [rows], plan)
    assert not passed
    assert f"'age' in {len(people)} rows, such as inf" in said


def test_a_plan_of_an_earlier_version_is_told_and_does_not_pass(people, classic_spark):
    rows = classic_spark.createDataFrame(people[["age", "came_back"]])
    plan = fit_plan(rows, name="p", label="came_back")
    old = plan.model_copy(
        update={"statistics": [s.model_copy(update={"histogram": None}) for s in plan.statistics]}
    )
    assert old.identity == plan.identity
    found = measure_drift([rows], old)
    assert not found.passed(ANY)
    assert "train again" in found.said(ANY)
    assert type(plan).from_json(plan.to_json()).statistics == plan.statistics


def test_all_words_beyond_the_most_frequent_are_known_or_nothing_is_said_of_new_ones():
    from synml_dagster.columns import RawInput
    from synml_dagster.features.kinds import CategoricalColumn

    raw = RawInput(name="w", path=("w",), spark_type="string", storage="string", onnx_type="string")
    stats = ColumnStats(column="w", type="string", rows=9, missing=0, distinct=3, top={"a": 5, "b": 3})
    column = CategoricalColumn(input=raw, features=["w"], words=["a", "b", "c"])
    assert watch(column, stats).known == ("c",)
    assert watch(column.model_copy(update={"words": ["a"]}), stats).known is None


@pytest.mark.parametrize(
    ("columns", "said"),
    [(["agee"], "Did you mean 'age'"), (["country"], "no feature of the model is made of")],
)
def test_a_column_that_is_no_feature_is_refused(people, classic_spark, columns, said):
    plan = fit_plan(
        classic_spark.createDataFrame(people), name="p", label="came_back", features=FeatureSpec()
    )
    with pytest.raises(ConfigError, match=said):
        check_columns(plan, columns)


def test_a_table_without_the_column_is_refused(people, classic_spark):
    plan = fit_plan(classic_spark.createDataFrame(people), name="p", label="came_back")
    with pytest.raises(DataError, match="lacks 1 column"):
        measure_drift([classic_spark.createDataFrame(people.drop(columns="age"))], plan)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"psi": 0}, "greater than 0"),
        ({"columns": ["a", "a"]}, "twice"),
        ({"blocking": True}, "severity: error"),
        ({"minimum": 3}, "Extra inputs"),
    ],
)
def test_what_does_not_go_together_is_refused(told, said):
    with pytest.raises(ValidationError, match=said):
        DriftSpec(**told)
