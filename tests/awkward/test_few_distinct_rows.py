"""Splits do not look at the label, hold the shares asked for where few rows differ, and stay from run to run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.features import (
    ColumnSpec,
    FeatureSpec,
    SplitSpec,
    assemble,
    assemble_files,
    fit_plan,
    same_split,
)
from synml_dagster.files import ParquetFiles

_GROUPS = [
    *(
        ("1st", "Male", 118, 62),
        ("2nd", "Male", 154, 25),
        ("3rd", "Male", 422, 88),
        ("Crew", "Male", 670, 192),
    ),
    *(
        ("1st", "Female", 4, 141),
        ("2nd", "Female", 13, 93),
        ("3rd", "Female", 106, 90),
        ("Crew", "Female", 3, 20),
    ),
]


def titanic() -> pd.DataFrame:
    rows = [(c, s, a) for c, s, no, yes in _GROUPS for a, n in (("No", no), ("Yes", yes)) for _ in range(n)]
    return pd.DataFrame(rows, columns=["Class", "Sex", "Survived"])


def different(n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "customer_id": np.arange(n) + 7_000,
            "x": x,
            "z": rng.integers(0, 5, n),
            "y": np.where(x + rng.normal(size=n) > 0, "b", "a"),
        }
    )


def sides(spark, frame, plan) -> pd.DataFrame:
    return assemble(
        spark.createDataFrame(frame), plan, keep=[c for c in frame.columns if c == "customer_id"]
    ).toPandas()


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("by", ["random", "stratified"])
def test_few_different_rows_are_spread_in_the_shares_asked_for(classic_spark, seed, by):
    frame = titanic()
    plan = fit_plan(
        classic_spark.createDataFrame(frame), name="t", label="Survived", split=SplitSpec(seed=seed, by=by)
    )
    assert any("of 2201 labelled rows only 8 differ" in w for w in plan.warnings)
    made = sides(classic_spark, frame, plan)
    shares = made["__split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.02)
    assert shares["validation"] == pytest.approx(0.2, abs=0.02)
    died = made.groupby("__split")["__label"].mean()
    assert (died - made["__label"].mean()).abs().max() < 0.06


def test_permuted_labels_leave_features_where_they_are(classic_spark):
    rng = np.random.default_rng(2)
    for frame, label in ((titanic(), "Survived"), (different(), "y")):
        counts = []
        for given in (frame, frame.assign(**{label: rng.permutation(frame[label])})):
            plan = fit_plan(classic_spark.createDataFrame(given), name="t", label=label)
            made = sides(classic_spark, given, plan)
            names = [*plan.feature_names, "__split"]
            counts.append(made.groupby(names).size())
        pd.testing.assert_series_equal(*counts)


def test_equal_features_are_on_one_side_whatever_their_labels_and_ids(classic_spark):
    frame = pd.concat(
        [different(), different().assign(y="a", customer_id=lambda f: f["customer_id"] + 10_000)]
    )
    plan = fit_plan(classic_spark.createDataFrame(frame), name="t", label="y")
    assert sides(classic_spark, frame, plan).groupby("x")["__split"].nunique().max() == 1


def test_other_columns_move_no_row_of_another_run(classic_spark):
    frame = different()
    first = fit_plan(classic_spark.createDataFrame(frame), name="t", label="y")
    before = sides(classic_spark, frame, first).set_index("customer_id")["__split"]
    wider = frame.assign(new=np.arange(len(frame)) % 11)
    spec = FeatureSpec(exclude=["z"])
    again = fit_plan(classic_spark.createDataFrame(wider), name="t", label="y", features=spec, previous=first)
    after = sides(classic_spark, wider, again).set_index("customer_id")["__split"]
    assert (before.sort_index() == after.sort_index()).all()
    assert same_split(first, again) is None
    fresh = fit_plan(classic_spark.createDataFrame(wider), name="t", label="y", features=spec)
    assert "other columns ('new', 'z')" in (same_split(first, fresh) or "")
    other = fit_plan(
        classic_spark.createDataFrame(wider), name="t", label="y", split=SplitSpec(seed=1), previous=first
    )
    assert same_split(first, other) == "split.seed was 0 and is 1"


def test_files_are_split_as_rows_are(classic_spark, tmp_path):
    import pyarrow as pa

    for name, frame, label in (("few", titanic(), "Survived"), ("many", different(), "y")):
        pq.write_table(pa.Table.from_pandas(frame), tmp_path / f"{name}.parquet")
        files = ParquetFiles((str(tmp_path / f"{name}.parquet"),))
        plan = fit_plan(files, name="t", label=label, spark=classic_spark)
        assert plan.split == fit_plan(files.dataframe(classic_spark), name="t", label=label).split
        assert plan.split.spread == (name == "few")
        assert (assemble_files(classic_spark, files, plan) is None) == plan.split.spread


def test_means_of_the_label_are_out_of_fold_where_few_rows_differ(classic_spark):
    spec = FeatureSpec(overrides={"Sex": ColumnSpec(encoding="target")})
    plan = fit_plan(classic_spark.createDataFrame(titanic()), name="t", label="Survived", features=spec)
    (column,) = [c for c in plan.columns if c.name == "Sex"]
    for means in column.fold_numbers:  # women 0.73, men 0.21, in every fold
        assert sorted(means)[0] == pytest.approx(0.21, abs=0.04)
        assert sorted(means)[-1] == pytest.approx(0.73, abs=0.06)


def test_a_split_without_a_side_that_a_stage_needs_is_refused_before_anything_runs():
    from synml_dagster import MLPipeline

    for side in ("test", "validation"):
        with pytest.raises((ValueError, ConfigError), match=rf"split\.{side} is 0"):
            MLPipeline(name="t", source="x.csv", label="y", split={side: 0})


@pytest.mark.parametrize("index", ["__index_level_0__", "Unnamed: 0", "_c0"])
def test_the_index_that_pandas_has_written_is_no_feature_and_moves_no_row(classic_spark, index):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=150), 2)
    rows = pd.DataFrame({index: rng.permutation(300) + 7, "x": x, "y": ["a", "b"] * 150})
    frame = classic_spark.createDataFrame(rows)
    plan = fit_plan(frame, name="p", label="y")
    assert plan.feature_names == ["x"]
    assert any(d.column == index and ("an id" in d.reason or "an index" in d.reason) for d in plan.dropped)
    sides = assemble(frame, plan).toPandas().groupby("x")["__split"].nunique()
    assert (sides == 1).all()
