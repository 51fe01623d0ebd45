"""Explains every row of a table on Spark: SHAP values as a column beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.explain.sample import feature_array

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.learners import TrainedModel

_MATRIX = "__shap_input"  # goes last, and is taken away again


def explain_columns(
    df: DataFrame, model: TrainedModel, *, column: str = "shap", base_column: str = "shap_base"
) -> DataFrame:
    """Return `df` with its exact SHAP values.

    Parameters
    ----------
    df
        Holds the model's features as numbers (`assemble(raw, plan, training=False, keep=...)` makes them).
    column
        `array<float>`, one value per feature in the order of `model.features`; with several outputs an array of those
        by class.
    base_column
        `double`, what the values add up from to the raw score (and to the prediction, of a model with a `label_offset`); with several outputs an array by class.

    Raises
    ------
    ConfigError
        When a feature is missing or a column of that name is there already.
    ModelError
        When the model cannot be explained exactly (linear trees).
    """
    from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, StructField, StructType

    from synml_dagster.explain.base import explainer_for
    from synml_dagster.explain.worker import Payload, append_values

    names = list(model.features)
    columns = df.columns
    there = set(columns)
    for name in names:
        if name not in there:
            raise ConfigError(f"The table to explain has no feature {name!r}.{did_you_mean(name, columns)}")
    for name in (column, base_column):
        if name in there:
            raise ConfigError(
                f"The table to explain has a column {name!r} already: choose another name for the new one."
            )
    outputs = explainer_for(model.form).num_outputs  # refuses here what cannot be explained
    values: DataType = ArrayType(FloatType())
    base: DataType = DoubleType()
    if outputs > 1:
        values, base = ArrayType(values), ArrayType(base)
    schema = StructType([*df.schema.fields, StructField(column, values), StructField(base_column, base)])
    task = append_values(
        Payload(model.learner, model.text),
        len(names),
        outputs,
        [*columns, column, base_column],
        model.label_offset,
    )
    wide = df.withColumn(_MATRIX, feature_array(names))
    # mapInArrow looks columns up by bare name, which fails for names with dots: give it plain ones.
    return wide.toDF(*(f"c{i}" for i in range(len(wide.columns)))).mapInArrow(task, schema)
