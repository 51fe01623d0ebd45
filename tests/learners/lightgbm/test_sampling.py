from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from synml_dagster.learners.lightgbm.data.sampling import (
    hashed_features,
    repeat_hashes,
    row_hashes,
    sample_here,
    sample_size,
)


def test_a_rows_hash_is_the_one_that_spark_computes(classic_spark):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3)).astype(np.float32)
    X[:8, 0] = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3.4e38, -1.5]
    df = classic_spark.createDataFrame(pd.DataFrame(X, columns=["a", "b", "c"]))
    df = df.select(
        *[sf.coalesce(sf.col(c).cast("float"), sf.lit(float("nan")).cast("float")).alias(c) for c in "abc"]
    )
    rows = df.select(sf.xxhash64("a", "b", "c").alias("h")).collect()
    assert [r["h"] for r in rows] == row_hashes(list(X.T)).tolist()


def test_the_hash_of_a_repetition_is_the_one_that_spark_computes(classic_spark):
    hashes = np.array([0, -1, 2**62, -(2**63), 12345], np.int64)
    numbers = np.array([1, 2, 3, 4, 5], np.int64)
    df = classic_spark.createDataFrame(
        [(int(h), int(n)) for h, n in zip(hashes, numbers, strict=True)], "h long, n long"
    )
    assert [r[0] for r in df.select(sf.xxhash64("h", "n")).collect()] == repeat_hashes(
        hashes, numbers
    ).tolist()


def blocks_of(X, rows):
    return lambda: (X[i : i + rows] for i in range(0, len(X), rows))


def test_the_sample_does_not_depend_on_the_order_of_the_rows():
    X = np.random.default_rng(0).standard_normal((50_000, 4)).astype(np.float32)
    shuffled = np.random.default_rng(1).permutation(X)
    a, b = (
        sample_here(blocks_of(X, 7000), len(X), 5000, 4),
        sample_here(blocks_of(shuffled, 999), len(X), 5000, 4),
    )
    np.testing.assert_array_equal(a, b)
    assert len(a) == 5000


def test_the_sample_is_fair_to_every_feature():
    X = np.sort(np.random.default_rng(0).standard_normal((100_000, 3)).astype(np.float32), axis=0)
    sample = sample_here(blocks_of(X, 10_000), len(X), 10_000, 3)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert np.quantile(sample[:, 1], q) == pytest.approx(np.quantile(X[:, 1], q), abs=0.1)


def test_rows_that_repeat_are_sampled_in_their_true_shares():
    rng = np.random.default_rng(0)
    X = rng.choice(4, size=(60_000, 2), p=[0.6, 0.3, 0.09, 0.01]).astype(np.float32)
    sample = sample_here(blocks_of(X, 5000), len(X), 6000, 2)
    again = sample_here(blocks_of(rng.permutation(X), 777), len(X), 6000, 2)
    assert len(sample) == 6000
    for value, share in enumerate([0.6, 0.3, 0.09, 0.01]):
        assert (sample[:, 0] == value).mean() == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(sample, again)


def test_a_table_no_larger_than_the_sample_is_taken_whole():
    X = np.arange(30, dtype=np.float32).reshape(10, 3)
    np.testing.assert_array_equal(sample_here(blocks_of(X, 4), 10, 10, 3), X)


def test_a_very_wide_table_has_a_smaller_sample():
    assert sample_size(200_000, 28) == 200_000
    assert sample_size(200_000, 10_000) == (1 << 30) // 40_000
    assert len(hashed_features(10_000)) == 8
    assert hashed_features(3) == [0, 1, 2]
