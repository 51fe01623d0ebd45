"""Explains a sample of a features table on Spark: tasks pick their rows, explain them and send home only those."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.interactions import interaction_partners
from synml_dagster.explain.value_names import readings
from synml_dagster.explain.worker import Payload, explain_file_splits, explain_rows, matrix
from synml_dagster.files import ParquetFiles, files_reachable
from synml_dagster.files.file_splits import file_split_frame, plan_file_splits
from synml_dagster.learners import Link
from synml_dagster.spark.session import active_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel

_LABEL = "__label"
_SCHEMA = "values array<float>, phi array<float>, label double"


def explain(
    features: DataFrame | ParquetFiles,
    model: TrainedModel,
    plan: FeaturePlan,
    *,
    rows: int = 2_000,
    seed: int = 0,
    spark: SparkSession | None = None,
    rows_a_task: int = 500_000,
) -> Explanations:
    """Return exact SHAP values of up to `rows` rows of a features table, drawn without replacement.

    Parameters
    ----------
    features
        A table that holds the model's features, and `__label` if known. From `ParquetFiles` the sample is the same
        for the same files and seed, whatever the cluster; from a DataFrame for the same partitions and seed.
    model
        The trained model; only its text and its features' names are used.
    plan
        The plan that made the features, for class and category names.
    rows
        How many rows to explain at most; all are explained where there are no more.
    rows_a_task
        How many rows of files are worth a task more, which costs a Python worker that starts.

    Raises
    ------
    ConfigError
        When `rows` is not positive or the table lacks a feature.
    DataError
        When the table is empty.
    ModelError
        When the model cannot be explained exactly (linear trees).
    """
    if rows < 1:
        raise ConfigError(f"The number of rows to explain must be at least 1 but got {rows}.")
    names = list(model.features)
    columns = features.schema().names if isinstance(features, ParquetFiles) else features.columns
    for name in names:
        if name not in columns:
            raise ConfigError(f"The table to explain has no feature {name!r}.{did_you_mean(name, columns)}")
    label = _LABEL if _LABEL in columns else None
    total, payload = None, Payload(model.learner, model.text)
    if isinstance(features, ParquetFiles):
        session = spark or active_session()
        total = features.count()
        if files_reachable(session, features):
            frame = _from_files(session, features, payload, names, label, rows, seed, rows_a_task)
        else:
            frame = _from_rows(features.dataframe(session), payload, names, label, rows, seed)
    else:
        frame = _from_rows(features, payload, names, label, rows, seed)
    return _gathered(frame, model, plan, names, label is not None, total)


def _from_files(
    spark: SparkSession,
    files: ParquetFiles,
    model: Payload,
    names: Sequence[str],
    label: str | None,
    rows: int,
    seed: int,
    rows_a_task: int,
) -> DataFrame:
    from synml_dagster.spark import task_slots

    total = files.count()
    slots = task_slots(spark) or 8
    shares = plan_file_splits(files, max(1, min(slots, -(-total // rows_a_task))))
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(rows, total), replace=False))
    starts = np.cumsum([0, *(share.rows for share in shares)])
    picks = [chosen[(chosen >= low) & (chosen < high)] - low for low, high in pairwise(starts)]
    return file_split_frame(spark, shares).mapInArrow(
        explain_file_splits(model, names, label, picks), _SCHEMA
    )


def _from_rows(
    frame: DataFrame, model: Payload, names: Sequence[str], label: str | None, rows: int, seed: int
) -> DataFrame:
    from pyspark.sql import functions as sf

    known = sf.col(label).cast("double") if label else sf.lit(None).cast("double")
    chosen = (
        frame.select(feature_array(names).alias("values"), known.alias("label"), sf.rand(seed).alias("draw"))
        .orderBy("draw")
        .limit(rows)
        .drop("draw")
    )
    return chosen.mapInArrow(explain_rows(model, len(names)), _SCHEMA)


def feature_array(names: Sequence[str]) -> Any:
    """Return the features as one `array<float>` column, NaN where null."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    nan = sf.lit(float("nan")).cast("float")
    return sf.array(*(sf.coalesce(sf.col(quoted(name)).cast("float"), nan) for name in names))


def _gathered(
    frame: DataFrame,
    model: TrainedModel,
    plan: FeaturePlan,
    names: list[str],
    labelled: bool,
    total: int | None,
) -> Explanations:
    from synml_dagster.explain.base import explainer_for

    form = model.form
    explainer = explainer_for(
        form
    )  # refuses linear trees here, where the error is one sentence and not a task's
    found = frame.toArrow().combine_chunks()
    n, k = found.num_rows, explainer.num_outputs
    if not n:
        raise DataError("There are no rows to explain: the table is empty.")

    def column(name: str) -> Any:
        chunks = found.column(name)
        return chunks.chunk(0) if chunks.num_chunks else chunks.combine_chunks()

    values, phi = matrix(column("values"), len(names)), matrix(column("phi"), len(names) * k)
    phi = phi.reshape(n, len(names), k)
    label = np.asarray(column("label").to_numpy(zero_copy_only=False), dtype=np.float64)
    classes = [str(c) for c in plan.label.classes or ()]
    return Explanations(
        task=plan.task,
        features=names,
        outputs=classes if k > 1 and len(classes) == k else [str(i) for i in range(k)],
        base=explainer.base + model.label_offset,
        values=values,
        phi=phi,
        label=label if labelled else None,
        classes=classes,
        readings=readings(plan),
        link=form.link or Link(),
        method=explainer.method,
        table_rows=total,
        partners=interaction_partners(explainer, names, values, phi),
    )
