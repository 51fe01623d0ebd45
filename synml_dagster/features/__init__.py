"""The feature plan: fitted once by Spark, compiled to Spark columns and to ONNX nodes that agree.

Names are imported when they are first asked for: executors import two small modules of this package, and should not
wait for the rest of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.features.changes import PlanChanges, changes_since
    from synml_dagster.features.choices import AS_DESCRIBED, Choice, FeatureChoices
    from synml_dagster.features.compile.files import assemble_files
    from synml_dagster.features.compile.labelled_files import score_split
    from synml_dagster.features.compile.onnx import onnx_fragment, onnx_model
    from synml_dagster.features.compile.spark import assemble, label_columns, labelled, weight_column
    from synml_dagster.features.fitting.fit import fit_plan
    from synml_dagster.features.fitting.roles import check_roles
    from synml_dagster.features.names import BALANCE, GROUP, LABEL, PLACE, ROW, SPLIT, SPLITS, WEIGHT
    from synml_dagster.features.plan import Dropped, FeaturePlan, LabelPlan, SplitPlan
    from synml_dagster.features.spec import ColumnSpec, FeatureSpec, SplitSpec, Task
    from synml_dagster.features.splitting.placing import same_split
    from synml_dagster.features.stats import ColumnStats, Histogram

_MODULES = {
    "changes": "PlanChanges changes_since",
    "choices": "AS_DESCRIBED Choice FeatureChoices",
    "compile.files": "assemble_files",
    "compile.labelled_files": "score_split",
    "compile.onnx": "onnx_fragment onnx_model",
    "compile.spark": "assemble label_columns labelled weight_column",
    "fitting.fit": "fit_plan",
    "fitting.roles": "check_roles",
    "names": "BALANCE GROUP LABEL PLACE ROW SPLITS SPLIT WEIGHT",
    "plan": "Dropped FeaturePlan LabelPlan SplitPlan",
    "spec": "ColumnSpec FeatureSpec SplitSpec Task",
    "splitting.placing": "same_split",
    "stats": "ColumnStats Histogram",
}

__all__ = [
    "AS_DESCRIBED",
    "BALANCE",
    "GROUP",
    "LABEL",
    "PLACE",
    "ROW",
    "SPLIT",
    "SPLITS",
    "WEIGHT",
    "Choice",
    "ColumnSpec",
    "ColumnStats",
    "Dropped",
    "FeatureChoices",
    "FeaturePlan",
    "FeatureSpec",
    "Histogram",
    "LabelPlan",
    "PlanChanges",
    "SplitPlan",
    "SplitSpec",
    "Task",
    "assemble",
    "assemble_files",
    "changes_since",
    "check_roles",
    "fit_plan",
    "label_columns",
    "labelled",
    "onnx_fragment",
    "onnx_model",
    "same_split",
    "score_split",
    "weight_column",
]

__getattr__ = lazy(__name__, _MODULES)
