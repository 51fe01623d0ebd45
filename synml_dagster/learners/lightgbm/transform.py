"""A model applied to a DataFrame: predictions, probabilities, raw scores, leaves and SHAP values as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.lightgbm.data.blocks import features_of, is_sparse, worth_sparse
from synml_dagster.learners.lightgbm.data.spark_rows import (
    check_columns,
    check_numeric,
    check_vector,
    feature_list,
    is_vector,
)
from synml_dagster.learners.transform import checked_outputs, scored_schema
from synml_dagster.spark.quoting import quoted
from synml_dagster.spark.session import active_session

if TYPE_CHECKING:
    import lightgbm as lgb
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm.data.blocks import Block


class Scoring(Protocol):
    """A model as scoring needs it; see `LightGBMModel`."""

    text: str
    features: list[str]
    vector: str | None
    objective: str
    num_class: int
    classes: list[str] | None
    label_type: str
    label_offset: float


OUTPUTS = ("prediction", "probability", "raw_score", "leaf_indices", "shap")
_WHOLE = {"tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64"}
_VALUES_AT_ONCE = 1 << 24
_VALUES_A_TASK = 100_000_000
_opened: dict[str, Any] = {}


def transform(
    model: Scoring,
    data: DataFrame | ParquetFiles,
    *,
    outputs: Sequence[str] = ("prediction", "probability"),
    keep: Sequence[str] | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Score `data` on Spark, one thread a task.

    Parameters
    ----------
    model : LightGBMModel
        What scores.
    data : DataFrame or ParquetFiles
        Holds the model's features. Files are read by the tasks themselves where they reach them, past Spark's rows.
    outputs : sequence of str
        Columns to add, of: `prediction` (the class as in the training table, or the value); `probability` (double: of
        the second class; an array for more than two; left out where the objective has none); `raw_score` (double, or
        an array); `leaf_indices` (array of int, one a tree); `shap` (array of double: one value a feature, then the
        expected value; for several classes one class after the other). LightGBM's own SHAP is slow; for whole tables
        see `synml_dagster.explain`.
    keep : sequence of str, optional
        Columns of `data` to keep; all by default.
    spark : SparkSession, optional
        The session for files; the active one by default.

    Raises
    ------
    ConfigError, DataError
        An output or a column is not known.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.files import ParquetFiles, files_reachable

    wanted = checked_outputs(outputs, OUTPUTS, _classifies(model))
    if isinstance(data, ParquetFiles):
        files, df = data, data.dataframe(spark or active_session())
    else:
        files, df = None, data
    kept = list(df.columns if keep is None else keep)
    check_columns(df.schema, kept, "keep")
    if model.vector is None:
        check_columns(df.schema, model.features, "features")
        check_numeric(df.schema, model.features, "features")
    else:
        check_vector(df.schema, model.vector)
    schema = scored_schema(df, kept, {name: _spark_type(model, name) for name in wanted})
    task = _Task(_Plain(model, tuple(wanted)), tuple(kept), len(model.features))
    if files is not None and model.vector is None and files_reachable(df.sparkSession, files):
        return _by_file_splits(df, files, task, model.features, schema)
    sent = [*(sf.col(quoted(name)) for name in kept), _values(df, model)]
    # mapInArrow asks for each column by its bare name, which a dot or a backtick breaks.
    return df.select(*[column.alias(f"c{i}") for i, column in enumerate(sent)]).mapInArrow(task, schema)


def _values(df: DataFrame, model: Scoring) -> Column:
    from pyspark.sql import functions as sf

    if model.vector is not None and is_vector(df.schema, model.vector):
        return sf.col(quoted(model.vector))
    return feature_list(df.schema, model.features, model.vector)


def _by_file_splits(
    df: DataFrame, files: ParquetFiles, task: _Task, features: Sequence[str], schema: StructType
) -> DataFrame:
    from synml_dagster.files.file_splits import arrow_types, bounded_file_splits
    from synml_dagster.files.mapping import map_splits

    spark, columns = df.sparkSession, [*task.kept, *features]
    return map_splits(
        spark,
        bounded_file_splits(spark, files, _VALUES_A_TASK // max(1, len(features))),
        columns,
        task.of_columns,
        schema,
        absent=arrow_types(df, columns),
        rows_at_once=task.plain.rows_at_once(task.features),
    )


@dataclass(frozen=True)
class _Task:
    """Scores batches of the columns to keep and, behind them, the features as lists or vectors."""

    plain: _Plain
    kept: tuple[str, ...]
    features: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the kept columns and the outputs."""
        for whole in batches:
            step = self.plain.rows_at_once(self.features) or max(1, len(whole))
            for start in range(0, len(whole), step):
                batch = whole.slice(start, step)
                values = features_of(batch.column(len(self.kept)), self.features)
                yield self.answered([batch.column(i) for i in range(len(self.kept))], values)

    def of_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the kept columns and the outputs of a batch that has, behind the columns to keep, one column a feature."""
        from synml_dagster.learners.lightgbm.data.row_sources import as_matrix

        kept = [batch.column(i) for i in range(len(self.kept))]
        return self.answered(kept, as_matrix(batch, range(len(kept), batch.num_columns)))

    def answered(self, kept: list[pa.Array], values: Block) -> pa.RecordBatch:
        """Return the kept columns of the rows of `values`, and their outputs."""
        import pyarrow as pa

        return pa.RecordBatch.from_arrays(
            [*kept, *self.plain.score(values)], names=[*self.kept, *self.plain.outputs]
        )


class _Plain:
    """The parts of a model that tasks need, without what the driver has opened."""

    def __init__(self, model: Scoring, outputs: tuple[str, ...]):
        self.text, self.outputs = model.text, outputs
        self.classes, self.label_type = model.classes, model.label_type
        self.binary, self.classifies = model.objective == "binary", _classifies(model)
        self.num_class, self.offset = model.num_class, model.label_offset
        self.key = hashlib.sha256(model.text.encode()).hexdigest()

    def rows_at_once(self, features: int) -> int | None:
        """Return how many rows' outputs are made at once where each has one or more values a feature; None is all."""
        if "shap" not in self.outputs:
            return None
        return max(1, _VALUES_AT_ONCE // ((features + 1) * self.num_class))

    def score(self, X: Block) -> list[Any]:
        """Return the outputs as Arrow arrays."""
        import pyarrow as pa

        rows = X.shape[0]
        if is_sparse(X) and not worth_sparse(X.nnz / max(1, rows), X.shape[1]):
            X = X.toarray()
        booster = self._booster()
        made: list[Any] = []
        scored: Any = (
            booster.predict(X, num_threads=1) if {"prediction", "probability"} & set(self.outputs) else None
        )
        for name in self.outputs:
            if name == "prediction":
                made.append(self._prediction(scored))
            elif name == "probability":
                made.append(_array(scored, pa.float64()))
            elif name == "raw_score":
                made.append(_array(booster.predict(X, raw_score=True, num_threads=1), pa.float64()))
            elif name == "leaf_indices":
                leaves = booster.predict(X, pred_leaf=True, num_threads=1).reshape(rows, -1)
                made.append(_array(leaves, pa.int32()))
            else:
                values = booster.predict(X, pred_contrib=True, num_threads=1)
                if is_sparse(X):  # LightGBM answers with a sparse matrix, or with one a class
                    parts = values if isinstance(values, list) else [values]
                    values = np.hstack([part.toarray() for part in parts])
                made.append(_array(values.reshape(rows, -1), pa.float64()))
        return made

    def _prediction(self, scored: Any) -> Any:
        import pyarrow as pa

        if not self.classifies:
            return pa.array(scored + self.offset if self.offset else scored, pa.float64())
        numbers = (scored > 0.5).astype(np.int64) if self.binary else scored.argmax(axis=1)
        if self.label_type == "boolean":
            return pa.array(numbers == 1)
        if self.classes is not None:
            return pa.array(np.asarray(self.classes, dtype=object)[numbers], pa.string())
        kind = _WHOLE.get(self.label_type, "float64")
        return pa.array(numbers.astype(kind))

    def _booster(self) -> lgb.Booster:
        if self.key not in _opened:
            import lightgbm as lgb

            _opened.clear()
            _opened[self.key] = lgb.Booster(model_str=self.text)
        return _opened[self.key]


def _array(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values, kind)
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), kind))


def _classifies(model: Scoring) -> bool:
    return model.objective == "binary" or (model.num_class > 1 and model.objective != "custom")


def _spark_type(model: Scoring, name: str) -> DataType:
    from pyspark.sql import types as T

    number: DataType = T.DoubleType()
    scores = T.ArrayType(number) if model.num_class > 1 else number
    if name == "prediction":
        if not _classifies(model):
            return scores
        known: dict[str, DataType] = {
            "string": T.StringType(),
            "boolean": T.BooleanType(),
            "tinyint": T.ByteType(),
            "smallint": T.ShortType(),
            "int": T.IntegerType(),
            "bigint": T.LongType(),
        }
        return known.get(model.label_type, number)
    if name == "leaf_indices":
        return T.ArrayType(T.IntegerType())
    return T.ArrayType(number) if name == "shap" else scores
