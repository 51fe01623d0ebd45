"""The bins that ranks share are those of the whole table, whichever way its rows are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from synml_dagster.files.file_splits import plan_file_splits
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.learners.lightgbm.data.bins import bins_of_rows, bins_of_shares
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names

PARAMS = {"verbosity": -1, "min_data_in_bin": 3}


def packed(df, names):
    missing = sf.lit(float("nan")).cast("float")
    return df.select(
        sf.array(*[sf.coalesce(sf.col(c).cast("float"), missing) for c in names]).alias("features")
    )


@pytest.mark.parametrize("size", [1000, 10_000], ids=["of a sample", "of all rows"])
def test_tasks_that_read_files_find_the_bins_of_sparks_rows(classic_spark, tmp_path, size):
    table = binary_table(6000)
    names = feature_names(table)
    table.loc[::7, "x0"] = np.nan
    table.loc[::11, "x1"] = np.inf
    files = as_parquet(table, tmp_path, files=3)
    rows = packed(classic_spark.createDataFrame(table).repartition(5), names)
    of_rows = bins_of_rows(rows, len(names), 6000, size, PARAMS)
    for tasks in (1, 4):
        assert (
            bins_of_shares(classic_spark, plan_file_splits(files, tasks), tuple(names), size, PARAMS)
            == of_rows
        )


def test_rows_that_repeat_too_often_are_left_to_sparks_window(classic_spark, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x0": rng.choice(3, 5000), "x1": rng.choice(2, 5000)}).astype(np.float32)
    table["label"] = (table["x0"] + rng.random(5000) > 1.5).astype(float)
    files = as_parquet(table, tmp_path, files=2)
    assert bins_of_shares(classic_spark, plan_file_splits(files, 2), ("x0", "x1"), 1000, PARAMS) is None
    one, two = (
        LightGBM({"objective": "binary", "bin_construct_sample_cnt": 1000}, rounds=3, ranks=ranks).fit(
            files, spark=classic_spark, label="label", features=["x0", "x1"]
        )
        for ranks in (1, 2)
    )
    X = table[["x0", "x1"]].to_numpy(np.float32)
    np.testing.assert_allclose(two.predict(X), one.predict(X), atol=1e-9)


def test_a_wide_table_trains_on_two_ranks_as_on_one(classic_spark, tmp_path):
    table = binary_table(3000, features=2000)
    names = feature_names(table)
    files = as_parquet(table, tmp_path, files=2)
    params = {"objective": "binary", "num_leaves": 7, "max_bin": 31, "bin_construct_sample_cnt": 1500}
    one, two = (
        LightGBM(params, rounds=3, ranks=ranks, timeout=240).fit(
            files, spark=classic_spark, label="label", features=names
        )
        for ranks in (1, 2)
    )
    X = table[names].to_numpy(np.float32)
    np.testing.assert_allclose(two.predict(X), one.predict(X), atol=1e-9)
