"""A label that is missing by a mark is no class, in Spark's rows and in files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.features import FeatureSpec, assemble, fit_plan
from synml_dagster.files import ParquetFiles


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """300 rows labelled yes and no, 30 of them with a mark in the place of the label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    words = np.where(x > 0, "yes", "no").astype(object)
    words[::10] = ["NA", "?", "NULL"] * 10
    path = tmp_path_factory.mktemp("marks") / "rows.parquet"
    pq.write_table(pa.table({"x": x, "y": words.tolist()}), path)
    return str(path)


@pytest.mark.parametrize("way", ["files", "rows"])
def test_a_mark_is_no_class(classic_spark, marked, way):
    files = ParquetFiles((marked,), 300)
    plan = fit_plan(
        files if way == "files" else classic_spark.read.parquet(marked),
        name="p",
        label="y",
        spark=classic_spark,
    )
    assert plan.label.classes == ["no", "yes"]
    assert plan.label.dropped_null_rows == 30
    assert "a mark such as NA" in " ".join(plan.warnings)
    assert assemble(classic_spark.read.parquet(marked), plan).count() == 270


def test_a_word_that_is_taken_off_the_marks_is_a_class(classic_spark, marked):
    plan = fit_plan(
        classic_spark.read.parquet(marked), name="p", label="y", features=FeatureSpec(missing=["?", "NULL"])
    )
    assert plan.label.classes == ["NA", "no", "yes"]
    assert plan.label.dropped_null_rows == 20


def test_a_column_of_a_few_numbers_and_a_question_mark_is_numeric(classic_spark):
    rng = np.random.default_rng(1)
    size = rng.integers(1, 11, 300)
    words = np.where(np.arange(300) % 20 == 0, "?", size.astype(str))
    frame = classic_spark.createDataFrame(
        pa.table({"size": words.tolist(), "y": np.where(size > 5, "big", "small").tolist()})
    )
    plan = fit_plan(frame, name="p", label="y")
    assert [c.kind for c in plan.columns] == ["numeric"]
    assert "'size' holds numbers written as text" in " ".join(plan.warnings)
