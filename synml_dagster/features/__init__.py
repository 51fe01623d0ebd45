"""The feature plan: fitted once by Spark, compiled to Spark columns and to ONNX nodes that agree."""

from synml_dagster.features.assemble import assemble
from synml_dagster.features.feed import raw_frame, tensors
from synml_dagster.features.fit import fit_plan
from synml_dagster.features.graph import OnnxFragment
from synml_dagster.features.names import GROUP, LABEL, ROW, SIDES, SPLIT, WEIGHT
from synml_dagster.features.onnx_graph import onnx_fragment, onnx_model
from synml_dagster.features.plan import Dropped, FeaturePlan, LabelPlan, SplitPlan
from synml_dagster.features.raw import RawInput
from synml_dagster.features.spec import ColumnSpec, FeatureSpec, SplitSpec, Task
from synml_dagster.features.stats import ColumnStats

__all__ = [
    "GROUP",
    "LABEL",
    "ROW",
    "SIDES",
    "SPLIT",
    "WEIGHT",
    "ColumnSpec",
    "ColumnStats",
    "Dropped",
    "FeaturePlan",
    "FeatureSpec",
    "LabelPlan",
    "OnnxFragment",
    "RawInput",
    "SplitPlan",
    "SplitSpec",
    "Task",
    "assemble",
    "fit_plan",
    "onnx_fragment",
    "onnx_model",
    "raw_frame",
    "tensors",
]
