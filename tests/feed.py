"""Turns rows of a table into the tensors that an exported graph takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.columns.match import matched

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from synml_dagster.features.plan import FeaturePlan

_NUMPY = {"float": np.float32, "double": np.float64}


def raw_frame(df: DataFrame, plan: FeaturePlan, *, keep: tuple[str, ...] = ()) -> DataFrame:
    """Return the plan's raw columns as the exported graph takes them: float, double, string or array<double>.

    The columns are named as in the plan, structs flattened; NaN and "" stand for missing.
    """
    from synml_dagster.columns import col

    inputs = matched(df, plan.raw_inputs)
    made = [
        (
            raw.value()
            if planned.onnx_type == "string" or planned.width > 1 or raw.storage in ("array", "vector")
            else raw.value().cast(planned.onnx_type)
        ).alias(planned.name)
        for raw, planned in zip(inputs, plan.raw_inputs, strict=True)
    ]
    return df.select(*made, *[col(k) for k in keep])


def tensors(batch: pa.RecordBatch, inputs: list[RawInput]) -> dict[str, np.ndarray]:
    """Return one `[rows, width]` array per input from a batch of raw values, typed as in the table or by `raw_frame`.

    Raises
    ------
    KeyError
        The batch lacks an input; columns are found by name.
    """
    return {raw.name: _tensor(batch.column(raw.name), raw) for raw in inputs}


def _tensor(column: pa.Array, raw: RawInput) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind: Any = column.type
    if raw.onnx_type == "string":
        text = column if pa.types.is_string(kind) else column.cast(pa.string())
        return pc.fill_null(text, "").to_numpy(zero_copy_only=False).astype(object).reshape(-1, 1)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _places(column, raw.width)
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    numbers = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))
    return numbers.to_numpy(zero_copy_only=False).astype(_NUMPY[raw.onnx_type]).reshape(-1, 1)


def _places(column: pa.Array, width: int) -> np.ndarray:
    out = np.full((len(column), width), np.nan)
    for i, row in enumerate(column.to_pylist()):
        for j, value in enumerate((row or [])[:width]):
            if value is not None:
                out[i, j] = value
    return out
