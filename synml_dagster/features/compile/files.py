"""Features assembled by tasks that read a table's files: the plan's graph makes them, past Spark's rows.

The columns are those of `features.assemble`, by the second compiler of the plan. Spark's way through rows costs twice as
much where a table is narrow, and twelve times as much where it has thousands of columns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns.arrow_values import ARROW_TYPES, arrow_type, typed
from synml_dagster.columns.match import matched
from synml_dagster.features.compile.labelled_files import Labeller, labeller
from synml_dagster.features.compile.onnx import onnx_model
from synml_dagster.features.kinds import CategoricalColumn
from synml_dagster.onnx import OnnxModel
from synml_dagster.onnx.shipping import ship
from synml_dagster.onnx.worker import ScoreTask, freeze
from synml_dagster.tables.task_writes import MadeRows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from synml_dagster.features.plan import FeaturePlan
    from synml_dagster.files import ParquetFiles


def assemble_files(spark: SparkSession, files: ParquetFiles, plan: FeaturePlan) -> MadeRows | None:
    """Return the rows that `assemble(files.dataframe(spark), plan)` has, made by tasks from the files; None where
    only Spark can make them.

    That is so where a feature is outside the graph or is encoded by folds of the training rows, and where a column is
    nested, a list or a decimal, or of another type than the plan has seen.

    Raises
    ------
    DataError
        A column of the plan is missing, or its type has changed to one that could lose values.
    """
    from pyspark.sql.types import FloatType, StructField, StructType

    frame = files.dataframe(spark)
    found = labeller(frame, files, plan)
    if found is None:
        return None
    labels, read = found
    if plan.outside_onnx or any(
        isinstance(way, CategoricalColumn) and way.encoding == "target" for way in plan.ways
    ):
        return None
    here = matched(frame, plan.raw_inputs)
    if any(
        len(raw.path) > 1 or raw.spark_type not in ARROW_TYPES or raw.spark_type != seen.spark_type
        for raw, seen in zip(here, plan.raw_inputs, strict=True)
    ):
        return None
    graph = _graph(plan)
    types = {raw.path[0]: arrow_type(raw.spark_type) for raw in [*read, *here]}
    make = FeatureMaker(
        score=ScoreTask(
            ship(spark, graph), (("outputs", freeze([graph.outputs[0].name])),), "cpu", kept=(), names=()
        ),
        labels=labels,
        columns={raw.path[0]: raw.spark_type for raw in here},
        features=tuple(plan.feature_names),
    )
    floats = [StructField(name, FloatType()) for name in plan.feature_names]
    schema = StructType([*floats, *labels.fields(frame)])
    return MadeRows(files, tuple(types), types, make, schema.json())


@dataclass(frozen=True)
class FeatureMaker:
    """Makes a batch of the features table of a batch of raw rows. Runs on executors: numpy, pyarrow and ONNX Runtime."""

    score: ScoreTask
    labels: Labeller
    columns: dict[str, str]
    features: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Leave out the rows without a label, and make the others' features."""
        import pyarrow as pa

        batch, added = self.labels(batch)
        return pa.RecordBatch.from_pydict(
            dict(zip(self.features, self._features(batch), strict=True)) | added
        )

    def _features(self, batch: pa.RecordBatch) -> list[pa.Array]:
        import pyarrow as pa

        if batch.num_rows == 0:
            return [pa.array([], pa.float32()) for _ in self.features]
        given = pa.RecordBatch.from_arrays(
            [typed(batch.column(name), name, kind) for name, kind in self.columns.items()],
            names=list(self.columns),
        )
        answer = self.score.scorer().score(given).column(0)
        values = answer if pa.types.is_floating(answer.type) else answer.flatten()
        matrix = values.to_numpy(zero_copy_only=False).reshape(batch.num_rows, len(self.features))
        return [pa.array(np.ascontiguousarray(column)) for column in matrix.T]


def _graph(plan: FeaturePlan) -> OnnxModel:
    """The plan's own graph, with what says how raw columns fill its inputs."""
    from onnx import helper

    graph = onnx_model(plan)
    once = {
        one.name: one for one in plan.raw_inputs
    }.values()  # alternatives are made of the same raw columns
    raw = json.dumps([one.model_dump(mode="json") for one in once], ensure_ascii=False)
    helper.set_model_props(graph, {"raw_inputs": raw, "outputs": "{}", "synml_dagster": "1"})
    return OnnxModel(graph)
