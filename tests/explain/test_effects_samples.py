"""Which rows effects are told of: the same ones on any cluster, and of rankings whole queries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.errors import DataError
from synml_dagster.explain.effects.grid import sampled, sampled_queries, whole_queries
from synml_dagster.explain.effects.shipped_rows import shipped


def test_a_part_of_the_rows_is_the_one_with_the_smallest_hashes_however_it_is_found(classic_spark):
    rng = np.random.default_rng(0)
    columns = {
        "a": pa.array(rng.integers(0, 50, 3000), mask=rng.random(3000) < 0.3),
        "b": pa.array(rng.integers(0, 50, 3000), mask=rng.random(3000) < 0.3),
    }
    df = classic_spark.createDataFrame(pa.table(columns))
    for rows in (500, 2990, 3000, 4000):
        collected = sampled(df, ["a", "b"], rows, 3000)
        assert collected.num_rows == min(rows, 3000)
        assert collected.equals(sampled(df, ["a", "b"], rows))  # which Spark sorts
        again = sampled(df.repartition(5), ["a", "b"], rows, 3000)
        assert again.equals(collected)


def test_a_table_of_few_distinct_rows_is_sampled_all_the_same(classic_spark):
    df = classic_spark.createDataFrame(pa.table({"a": pa.array([1, 2] * 3000)}))
    found = sampled(df, ["a"], 100, 6000)
    assert found.num_rows == 100
    assert found.equals(sampled(df, ["a"], 100))


def test_queries_are_taken_whole(classic_spark):
    sizes = np.arange(1, 21)
    rows = pa.table({"q": pa.array(np.repeat(np.arange(20), sizes)), "x": pa.array(np.arange(sizes.sum()))})
    df = classic_spark.createDataFrame(rows)
    found = sampled_queries(df, ["q", "x"], "q", 60).to_pandas()
    assert 30 < len(found) <= 60
    assert all(len(rows) == sizes[query] for query, rows in found.groupby("q"))
    assert len(sampled_queries(df, ["q"], "q", 10_000)) == sizes.sum()
    chosen, count = whole_queries(df, "q", 1)
    assert count == chosen.count() >= 1
    with pytest.raises(DataError, match="has 20 rows, and rows is 5; ask for more"):
        sampled_queries(df.where("q = 19"), ["q"], "q", 5)
    with pytest.raises(DataError, match="1 rows have no query in 'q'"):
        sampled_queries(df.selectExpr("nullif(q, 0) AS q"), ["q"], "q", 50)
    with pytest.raises(DataError, match="empty"):
        sampled_queries(df.limit(0), ["q"], "q", 50)


@pytest.mark.parametrize("embedded", [0, 1 << 20])
def test_rows_reach_every_task_whole(spark, embedded):
    batch = pa.RecordBatch.from_pydict({"a.b": [1, 2, None], "w": ["x", None, "z"]})
    with shipped(spark, batch, embedded) as rows:
        assert (rows.batch is None) == (embedded == 0)

        def told(batches):
            for some in batches:
                said = [repr(rows.open().to_pylist())] * some.num_rows
                yield pa.RecordBatch.from_pydict({"said": said})

        found = spark.range(0, 4, 1, 2).mapInArrow(told, "said string").collect()
    assert {row["said"] for row in found} == {repr(batch.to_pylist())}
