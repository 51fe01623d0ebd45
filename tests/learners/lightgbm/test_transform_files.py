"""A model answers the rows of Parquet files as it answers the same rows through Spark."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as sf

from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBM

FEATURES = ["plain", "whole number", "yes.no", "exact", "empty"]


def written(spark, folder):
    """Rows of several types in several files, with gaps, and columns that are carried along."""
    rows = spark.range(0, 5000, 1, 3)
    number = sf.col("id").cast("double")
    frame = rows.select(
        sf.when(sf.col("id") % 7 > 0, sf.sin(number)).alias("plain"),
        sf.when(sf.col("id") % 11 > 0, sf.col("id") * 3_000_017).alias("whole number"),
        (sf.col("id") % 3 == 0).alias("yes.no"),
        (number / 7).cast("decimal(12,3)").alias("exact"),
        sf.lit(None).cast("float").alias("empty"),
        ((sf.sin(number) > 0.2) | (sf.col("id") % 3 == 0)).cast("int").alias("label"),
        sf.concat(sf.lit("Nr. "), "id").alias("name"),
        sf.timestamp_seconds(sf.col("id") * 86_400).alias("seen"),
        sf.array(sf.col("id")).alias("list"),
        "id",
    )
    frame.write.parquet(str(folder))
    return ParquetFiles(
        tuple(sorted(str(path) for path in folder.glob("*.parquet"))), schema_json=frame.schema.json()
    )


@pytest.mark.parametrize("keep", [[], ["id", "name", "seen", "list", "plain"], None])
def test_files_are_answered_as_rows_are(spark, tmp_path, keep):
    files = written(spark, tmp_path / "table")
    rows = files.dataframe(spark)
    model = LightGBM({"objective": "binary"}, rounds=5).fit(rows, label="label", features=FEATURES)
    outputs = ["prediction", "probability", "raw_score", "leaf_indices", "shap"]
    by_files = model.transform(files, outputs=outputs, keep=keep, spark=spark)
    by_rows = model.transform(rows, outputs=outputs, keep=keep)
    assert by_files.schema == by_rows.schema
    order = [sf.col("id")] if keep is None or keep else [sf.col("raw_score"), sf.hash("leaf_indices")]
    ours, theirs = by_files.orderBy(*order).toArrow(), by_rows.orderBy(*order).toArrow()
    assert ours.num_rows == 5000
    for name in ours.schema.names:
        if name == "shap":
            np.testing.assert_allclose(
                np.stack(ours[name].to_numpy()), np.stack(theirs[name].to_numpy()), rtol=1e-12
            )
        else:
            assert ours[name].equals(theirs[name]), name


def test_files_from_before_a_column_was_added_lack_its_values(classic_spark, tmp_path):
    files = written(classic_spark, tmp_path / "table")
    rows = files.dataframe(classic_spark)
    model = LightGBM({"objective": "binary"}, rounds=3).fit(rows, label="label", features=FEATURES)
    rows.drop("whole number", "name").write.parquet(str(tmp_path / "old"))
    old = tuple(map(str, (tmp_path / "old").glob("*.parquet")))
    both = ParquetFiles((*files.paths, *old), schema_json=files.schema_json)
    ours = model.transform(both, keep=["id", "name"], spark=classic_spark)
    theirs = model.transform(both.dataframe(classic_spark), keep=["id", "name"])
    assert ours.count() == 10_000
    assert ours.exceptAll(theirs).count() == 0
    assert ours.where("name is null").count() == 5000


def test_no_files_give_no_rows(classic_spark, tmp_path):
    files = written(classic_spark, tmp_path / "table")
    model = LightGBM({"objective": "binary"}, rounds=2).fit(
        files, spark=classic_spark, label="label", features=FEATURES
    )
    nothing = ParquetFiles((), schema_json=files.schema_json)
    assert model.transform(nothing, spark=classic_spark, keep=["id"]).collect() == []


def test_files_without_a_feature_are_refused_with_its_name(classic_spark, tmp_path):
    files = written(classic_spark, tmp_path / "table")
    model = LightGBM({"objective": "binary"}, rounds=2).fit(
        files, spark=classic_spark, label="label", features=FEATURES
    )
    rows = files.dataframe(classic_spark).drop("exact")
    rows.write.parquet(str(tmp_path / "less"))
    less = ParquetFiles(tuple(str(path) for path in (tmp_path / "less").glob("*.parquet")))
    with pytest.raises(DataError, match="no column 'exact'"):
        model.transform(less, spark=classic_spark)
