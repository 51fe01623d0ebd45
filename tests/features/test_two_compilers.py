"""The Spark projection and the exported graph give the same features, whatever the table holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from synml_dagster.features import FeaturePlan, assemble, onnx_model
from tests.features.generated import plans_and_tables
from tests.feed import tensors

# Shrinking runs Spark hundreds of times; the message names the column and the value instead.
_PHASES = [Phase.explicit, Phase.generate]
_QUIET = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]


def by_onnx(plan, table):
    import onnx
    import onnxruntime as ort

    model = onnx_model(plan)
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = table.combine_chunks().to_batches()[0]
    return session.run(None, tensors(batch, plan.raw_inputs))[0]


def by_spark(spark, plan, table):
    from pyspark.sql.types import DataType, StructField, StructType

    types = {raw.name: DataType.fromDDL(raw.spark_type) for raw in plan.raw_inputs}
    schema = StructType([StructField(name, types[name]) for name in table.column_names])
    frame = assemble(spark.createDataFrame(table, schema).coalesce(1), plan, training=False).toArrow()
    return np.column_stack([frame.column(i).to_numpy() for i in range(frame.num_columns)])


def assert_same_features(plan, ours, theirs, table):
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    near = np.isclose(ours, theirs, rtol=1e-6, atol=1e-7, equal_nan=True)
    bad = np.argwhere(~near)
    if len(bad):
        row, feature = bad[0]
        column = next(c for c in plan.columns if plan.feature_names[feature] in c.features)
        value = table.column(column.name)[int(row)]
        pytest.fail(
            f"{len(bad)} values differ, the first in {plan.feature_names[feature]!r}: Spark {ours[row, feature]!r}, ONNX {theirs[row, feature]!r} of {value!r} by {column!r}"
        )
    for column in plan.columns:
        if column.kind == "categorical":
            places = [plan.feature_names.index(f) for f in column.features]
            np.testing.assert_array_equal(ours[:, places], theirs[:, places])


@settings(max_examples=5, deadline=None, suppress_health_check=_QUIET, phases=_PHASES, derandomize=True)
@given(generated=plans_and_tables())
def test_spark_and_onnx_agree_on_generated_tables(classic_spark, generated):
    plan, table = generated
    assert_same_features(plan, by_spark(classic_spark, plan, table), by_onnx(plan, table), table)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=_QUIET, phases=_PHASES)
@given(generated=plans_and_tables())
def test_spark_and_onnx_agree_on_many_generated_tables(classic_spark, generated):
    plan, table = generated
    assert_same_features(plan, by_spark(classic_spark, plan, table), by_onnx(plan, table), table)


@settings(max_examples=30, deadline=None, suppress_health_check=_QUIET)
@given(generated=plans_and_tables())
def test_a_saved_plan_loads_equal(tmp_path_factory, generated):
    plan, _ = generated
    folder = tmp_path_factory.mktemp("plan")
    plan.save(folder)
    assert FeaturePlan.load(folder) == plan
    assert FeaturePlan.load(folder).to_json() == plan.to_json()


def test_spark_reads_days_that_there_were_and_none_of_the_year_0(classic_spark):
    from pyspark.sql import functions as sf

    from synml_dagster.columns.time_format import PATTERNS
    from synml_dagster.columns.time_parsing import parse_spark, parse_text

    words = ["0000-01-01", "0000-12-31", "0001-01-01", "1900-02-29", "1970-01-02", "9999-12-31"]
    frame = classic_spark.createDataFrame([(word,) for word in words], "day string")
    read = frame.select(parse_spark(sf.col("day"), PATTERNS["yyyy-MM-dd"]).alias("days")).collect()
    expected = [parse_text(word, PATTERNS["yyyy-MM-dd"]) for word in words]
    np.testing.assert_array_equal([row["days"] for row in read], expected)
    assert np.isnan(expected[:2]).all()
    assert expected[2] == -719_162
