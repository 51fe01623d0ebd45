"""Any ONNX graph on any rows: on Spark, in streams, in SQL and row by row."""

from synml_dagster.onnx.model import OnnxModel, TensorInfo
from synml_dagster.onnx.row_scorer import ReadRows, RowScorer
from synml_dagster.onnx.scorer import Scorer
from synml_dagster.onnx.spark_scoring import (
    can_have_bad_rows,
    read_as_dates,
    score,
    score_files,
    split_bad_rows,
    unread_in,
)
from synml_dagster.onnx.sql import register_function

__all__ = [
    "OnnxModel",
    "ReadRows",
    "RowScorer",
    "Scorer",
    "TensorInfo",
    "can_have_bad_rows",
    "read_as_dates",
    "register_function",
    "score",
    "score_files",
    "split_bad_rows",
    "unread_in",
]
