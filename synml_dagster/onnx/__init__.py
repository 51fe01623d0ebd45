"""One ONNX graph per pipeline: export, the parity gate, and scoring on Spark, in streams, in SQL and row by row."""

from synml_dagster.onnx.assembly import assemble_files
from synml_dagster.onnx.bundle import write_bundle
from synml_dagster.onnx.export import booster_to_onnx, export_pipeline
from synml_dagster.onnx.labelled_files import score_side
from synml_dagster.onnx.model import OnnxModel, TensorInfo
from synml_dagster.onnx.parity import ParityReport, check_parity
from synml_dagster.onnx.scorer import Scorer
from synml_dagster.onnx.spark_scoring import can_have_bad_rows, score, score_files, split_bad_rows
from synml_dagster.onnx.sql import register_function

__all__ = [
    "OnnxModel",
    "ParityReport",
    "Scorer",
    "TensorInfo",
    "assemble_files",
    "booster_to_onnx",
    "can_have_bad_rows",
    "check_parity",
    "export_pipeline",
    "register_function",
    "score",
    "score_files",
    "score_side",
    "split_bad_rows",
    "write_bundle",
]
