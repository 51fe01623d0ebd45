"""A pipeline's trees walked without branches: large batches go through tables of leaf masks in place of ONNX Runtime's nodes."""

from synml_dagster.onnx.forest.session import ForestSession, open_forest

__all__ = ["ForestSession", "open_forest"]
