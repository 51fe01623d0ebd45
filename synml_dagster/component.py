"""The YAML face of a pipeline: `type: synml_dagster.MLPipelineComponent` in a `defs.yaml`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel

from synml_dagster.errors import ConfigError
from synml_dagster.pipeline import MLPipeline
from synml_dagster.scaffolding import name_of, write_executor

# `dg` makes a scaffolder of each class that an installed package registers, and this one of dagster-pyspark says at every
# call that it is a preview. Nothing here uses it.
warnings.filterwarnings(
    "ignore", message="Class `SparkDeclarativePipelineScaffolder` is currently in preview"
)

_TEMPLATE = """\
type: {type_name}

attributes:
  name: {name}
  # A path to csv, parquet, json ... from the project's root, or one of: {{table: db.sales}}, {{sql: SELECT ...}}, {{jdbc: ...}}
  source: {source}
  # The column to predict
  label: {label}
  # To read and score a day at a time, by a column of dates: partitions: {{column: day, daily: 2026-01-01}}
"""

# What a scaffold writes where it was told nothing; a pipeline that still says so is refused.
_NO_SOURCE = "path/to/table.csv"
_NO_LABEL = "the_column_to_predict"


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` can fill in: `--source data.csv --label income`."""

    source: str = _NO_SOURCE
    label: str = _NO_LABEL


class MLPipelineScaffolder(Scaffolder[ScaffoldParams]):
    """Writes a `defs.yaml` that runs once the source and the label are filled in, and an executor where there is none."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options that the command takes."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the files; the pipeline is named after the folder."""
        if request.scaffold_format != "yaml":
            raise ConfigError(
                "MLPipelineComponent is scaffolded as YAML; in Python write MLPipeline(...).definitions()"
            )
        name = name_of(request, "pipeline")
        request.target_path.mkdir(parents=True, exist_ok=True)
        params = request.params or ScaffoldParams()
        text = _TEMPLATE.format(
            type_name=request.type_name, name=name, source=params.source, label=params.label
        )
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")
        write_executor(request)
        missing = [
            key
            for key, none in (("source", _NO_SOURCE), ("label", _NO_LABEL))
            if getattr(params, key) == none
        ]
        if missing:
            print(f"Fill in {' and '.join(missing)} in {request.target_path / 'defs.yaml'}.")


@dg.scaffold_with(MLPipelineScaffolder)
class MLPipelineComponent(dg.Component):
    """A whole learning pipeline on Spark from four lines: name, source and label.

    Features, an Optuna sweep, LightGBM across the cluster, evaluation, one ONNX graph, promotion in MLflow, scored
    rows, SHAP explanations and a report. All other attributes are those of `MLPipeline`. Relative paths are taken from
    the project's root. Override `get_asset_spec` to set owners, tags or automation conditions.
    """

    def __init__(self, pipeline: MLPipeline) -> None:
        self.pipeline = pipeline

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the schema of `attributes`: the description itself, so that YAML and Python share every message."""
        return MLPipeline

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> MLPipelineComponent:
        """Build the component from a checked `attributes`, after filling in `{{ env.X }}` and its kin."""
        assert isinstance(attributes, MLPipeline)
        told: Any = attributes.model_dump(exclude_unset=True)
        resolved = context.resolution_context.at_path("attributes").resolve_value(told)
        pipeline = MLPipeline.model_validate(resolved)
        _refuse_placeholders(pipeline, context.path)
        root = context.project_root
        score, live = pipeline.score, pipeline.live
        if score.source is not None:
            score = score.model_copy(update={"source": score.source.under(root)})
        if live is not None and live.labels is not None:
            live = live.model_copy(update={"labels": live.labels.under(root)})
        here = {"source": pipeline.source.under(root), "score": score, "live": live}
        return cls(pipeline.model_copy(update=here))

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec of one of the pipeline's assets; the place to add owners, tags or conditions."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the pipeline's definitions."""
        return self.pipeline.definitions(change_spec=self.get_asset_spec)


def _refuse_placeholders(pipeline: MLPipeline, where: Path) -> None:
    missing = []
    if pipeline.source.path == _NO_SOURCE:
        missing.append(f"`source` is still {_NO_SOURCE!r}; say where the table is")
    if pipeline.label == _NO_LABEL:
        missing.append(f"`label` is still {_NO_LABEL!r}; say which column to predict")
    if missing:
        raise ConfigError(f"{where / 'defs.yaml'} is as it was scaffolded: {', and '.join(missing)}.")
