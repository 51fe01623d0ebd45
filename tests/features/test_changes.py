"""What a second plan says that it has otherwise than the first: on real plans of tables that somebody changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synml_dagster.features import FeatureSpec, changes_since, fit_plan

ROWS = 600


def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    age = rng.integers(18, 80, ROWS)
    return pd.DataFrame(
        {
            "age": age,
            "income": rng.lognormal(10, 0.4, ROWS).round(2),
            "city": rng.choice(["Rome", "Oslo", "Bonn"], ROWS),
            "y": np.where(age + rng.normal(0, 9, ROWS) > 55, "yes", "no"),
        }
    )


def plan_of(spark, rows: pd.DataFrame, label: str = "y", **described):
    return fit_plan(spark.createDataFrame(rows), name="p", label=label, **described)


@pytest.fixture(scope="module")
def first(classic_spark):
    return plan_of(classic_spark, table())


def test_the_same_table_with_other_rows_says_nothing(classic_spark, first):
    more = pd.concat([table(), table().iloc[::3]])
    assert changes_since(plan_of(classic_spark, more), first).warnings == ()
    assert changes_since(first, None) == changes_since(first, first)


def put(rows: pd.DataFrame, **columns) -> pd.DataFrame:
    return rows.assign(**columns)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: put(t, y=t.y.where(t.index >= 90, "maybe")),
            ["the label 'y' has the class 'maybe' (90 of 600 rows), which the last plan did not know"],
        ),
        (lambda t: put(t, y=t.y.str.upper()), ["the classes of 'y' are written otherwise now: 'NO', 'YES'"]),
        (lambda t: put(t, y=np.where(t.y == "yes", "no", "yes")), ["the class 'yes' of 'y' is 62.50% of the rows and was 37.50% when the last"]),
        (
            lambda t: t.rename(columns={"income": "wages"}),
            ["column 'income' made features and is not in the table now; is it 'wages', which has come?"],
        ),
        (
            lambda t: put(t, income=t.income / 1000),
            ["column 'income' is 2", "is it measured in another unit, or does it grow with time?"],
        ),
        (
            lambda t: put(t, city=t.city.map({"Rome": "IT", "Oslo": "NO", "Bonn": "DE"})),
            ["column 'city' holds words that the last plan did not know in most rows, such as "],
        ),
        (
            lambda t: put(t, city=t.city.str.upper()),
            ["column 'city' holds words", "where that had "],
        ),
        (lambda t: put(t, income=t.income.where(t.index < 9)), ["column 'income' is missing in "]),
        (lambda t: put(t, city=1.5), ["column 'city' made features and is left out now: "]),
        (
            lambda t: put(t, city=t.age * 0.5),
            ["column 'city' was used as categorical and is used as numeric now"],
        ),
        (lambda t: t.iloc[:250], ["the table has 250 rows and had 600 when the last plan was fitted"]),
    ],
    ids=[
        "new class", "classes in capitals", "label turned", "renamed", "unit", "words", "words in capitals",
        "missing", "constant", "kind", "shrunk",
    ],
)  # fmt: skip
def test_what_somebody_changed_is_said_and_nothing_else(classic_spark, first, change, said):
    warnings = changes_since(plan_of(classic_spark, change(table())), first).warnings
    assert len(warnings) == 1, warnings
    for part in said:
        assert part in warnings[0]


def test_a_label_in_another_unit_is_said_and_a_column_that_comes_is_a_note(classic_spark):
    rows = table().drop(columns="y")
    first = plan_of(classic_spark, rows, "income")
    now = changes_since(
        plan_of(classic_spark, put(rows, income=rows.income / 1000, height=rows.age * 0.01 + 1), "income"),
        first,
    )
    assert [w for w in now.warnings if "the label 'income' is 2" in w and "another unit" in w]
    assert now.notes == ("new since the last plan: 'height'",)


def test_rare_words_other_spellings_and_what_the_description_says_are_no_news(classic_spark):
    rows = table()
    rows["code"] = [f"w{i % 90}" for i in range(ROWS)]
    rows["flag"] = np.where(rows.age > 40, "True", "False")
    few = FeatureSpec(max_categories=10)
    first = plan_of(classic_spark, rows, features=few)
    assert changes_since(plan_of(classic_spark, rows, features=few), first).warnings == ()
    spelt = plan_of(classic_spark, put(rows, flag=rows.flag.str.lower()), features=few)
    assert changes_since(spelt, first).warnings == ()
    declared = FeatureSpec(include=["age", "city"], categorical=["age"])
    now = plan_of(classic_spark, rows, features=declared)
    assert changes_since(now, first, declared.declared()).warnings == ()
    assert len(changes_since(now, first).warnings) == 1


def test_what_the_description_leaves_out_is_not_lost(classic_spark, first):
    left = plan_of(classic_spark, table(), features=FeatureSpec(exclude=["city"]))
    assert changes_since(left, first).warnings == ()
    assert changes_since(first, left).notes == ()
