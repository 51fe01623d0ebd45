"""A trained model as ONNX nodes: trees and additive models, their links and their labels."""

from synml_dagster.learners.onnx.model import Classes, ModelOutputs, add_model, is_wide

__all__ = ["Classes", "ModelOutputs", "add_model", "is_wide"]
