"""One ONNX graph per pipeline: export, the parity gate, and the bundle that MLflow opens."""

from synml_dagster.export.bundle import write_bundle
from synml_dagster.export.parity import ParityReport, check_parity
from synml_dagster.export.pipeline import booster_to_onnx, export_pipeline

__all__ = ["ParityReport", "booster_to_onnx", "check_parity", "export_pipeline", "write_bundle"]
