"""Rows with the champion's answers and where these come from, and the rows that cannot be scored marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.assets.artifacts import COLUMNS, Provenance, check_names
from synml_dagster.assets.stage import ScoreSpec
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, can_have_bad_rows, score, score_files
from synml_dagster.onnx.scorer import REASON, answers_of
from synml_dagster.tables import MarkedRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def scored(
    rows: DataFrame | ParquetFiles,
    model: OnnxModel,
    provenance: Provenance,
    spec: ScoreSpec,
    spark: SparkSession,
) -> MarkedRows:
    """Score `rows`, a DataFrame or Parquet files, and mark those that cannot be scored, unless `spec` has them raise."""
    if spec.bad_rows == "raise" or not can_have_bad_rows(rows, model, spark):
        if isinstance(rows, ParquetFiles) and spec.table is None and spec.database is None:
            check_names(rows.schema().names if spec.keep is None else spec.keep, provenance.columns)
            made = score_files(spark, rows, model, keep=spec.keep, constants=provenance.values())
            if made is not None:
                return MarkedRows(made, None, tuple(made.columns))
        frame = provenance.stamp(score(rows, model, keep=spec.keep, spark=spark))
        return MarkedRows(frame, None, tuple(frame.columns))
    columns = (rows.dataframe(spark) if isinstance(rows, ParquetFiles) else rows).columns
    keep = columns if spec.keep is None else spec.keep
    first = set(keep)
    # The rows set aside show the value that was wrong, whether or not it is among the columns to carry along.
    taken = (
        {*answers_of(model), "probability", REASON, *provenance.columns} if spec.keep is not None else set()
    )
    carried = [*keep, *(c for c in columns if c not in first and c.casefold() not in taken)]
    frame = provenance.stamp(score(rows, model, keep=carried, bad_rows="mark", spark=spark))
    added = [name for name in frame.columns[len(carried) :] if name != REASON]
    return MarkedRows(frame, REASON, columns=(*keep, *added), aside=(*carried, *COLUMNS))
