"""Splits follow from what rows hold: the same however the table is partitioned, and no group or time on two sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synml_dagster.errors import DataError
from synml_dagster.features import SplitSpec, assemble, fit_plan


def table(n: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "x": rng.normal(size=n),
            "shop": rng.integers(0, 40, n),
            "day": pd.date_range("2024-01-01", periods=n, freq="h"),
            "y": rng.choice(["a", "b", "c"], n, p=[0.9, 0.09, 0.01]),
        }
    )


def shares(out: pd.DataFrame) -> dict[str, float]:
    return (out["__split"].value_counts() / len(out)).to_dict()


def merged(spark, frame, split, partitions=2):
    keyed = frame.rename(columns={"row": "row_id"})
    df = spark.createDataFrame(keyed).repartition(partitions)
    plan = fit_plan(df, name="t", label="y", split=split)
    out = assemble(df, plan, keep=["row_id"]).toPandas()
    return out.merge(keyed, on="row_id").set_index("row_id").sort_index()


def test_sides_do_not_depend_on_partitions_and_change_with_the_seed(spark):
    frame = table()
    one = merged(spark, frame, SplitSpec(), partitions=1)["__split"]
    seven = merged(spark, frame, SplitSpec(), partitions=7)["__split"]
    other = merged(spark, frame, SplitSpec(seed=1))["__split"]
    assert (one == seven).all()
    assert (one != other).mean() > 0.3


def test_fractions_are_of_all_rows_and_exact_on_a_small_table(classic_spark):
    out = merged(classic_spark, table(), SplitSpec(test=0.1, validation=0.3))
    assert out["__split"].value_counts().to_dict() == {"train": 600, "validation": 300, "test": 100}


def test_equal_rows_are_on_one_side(classic_spark):
    frame = pd.concat([table(200).drop(columns="row")] * 5)
    df = classic_spark.createDataFrame(frame)
    plan = fit_plan(df, name="t", label="y")
    out = assemble(df, plan).toPandas()
    assert out.groupby("x")["__split"].nunique().max() == 1


def test_a_stratified_split_has_every_class_on_every_side_in_proportion(classic_spark):
    out = merged(classic_spark, table(), SplitSpec(by="stratified"))
    counts = pd.crosstab(out["y"], out["__split"])
    whole = counts.sum(axis=1)
    for side, share in {"test": 0.2, "validation": 0.2, "train": 0.6}.items():
        assert ((counts[side] - share * whole).abs() <= 1).all()


def test_by_time_the_newest_rows_are_the_test_side(classic_spark):
    out = merged(classic_spark, table(), SplitSpec(by="time", column="day"))
    times = out.groupby("__split")["day"]
    assert times.max()["train"] < times.min()["validation"]
    assert times.max()["validation"] < times.min()["test"]
    assert shares(out) == {"train": 0.6, "validation": 0.2, "test": 0.2}


def test_no_group_is_on_two_sides(classic_spark):
    out = merged(classic_spark, table(), SplitSpec(by="group", column="shop"))
    assert out.groupby("shop")["__split"].nunique().max() == 1
    assert shares(out)["test"] == pytest.approx(0.2, abs=0.05)


def test_three_groups_give_each_side_one(classic_spark):
    frame = table(300).assign(
        shop=lambda f: np.where(f.index < 280, "big", np.where(f.index < 290, "b", "c"))
    )
    out = merged(classic_spark, frame, SplitSpec(by="group", column="shop"))
    assert out.groupby("__split")["shop"].nunique().to_dict() == {"train": 1, "validation": 1, "test": 1}


def test_too_few_groups_are_refused(classic_spark):
    frame = table(300).assign(shop="only one")
    with pytest.raises(DataError, match="'shop' has 1 group and 3 sides need at least 3"):
        merged(classic_spark, frame, SplitSpec(by="group", column="shop"))
