"""One ONNX graph per pipeline: export, the parity gate, and the bundle that MLflow opens."""

from synml_dagster.export.bundle import write_bundle
from synml_dagster.export.parity import ParityReport, check_parity
from synml_dagster.export.pipeline import export_pipeline, model_to_onnx

__all__ = ["ParityReport", "check_parity", "export_pipeline", "model_to_onnx", "write_bundle"]
