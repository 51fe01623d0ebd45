"""Where a model is worst: slices of the raw rows of its test side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.assets.artifacts import FittedPipeline
from synml_dagster.balance import ErrorSlices, Slice, worst_slices
from synml_dagster.balance.counts import NO_GROUPS
from synml_dagster.features import LABEL, SPLIT, assemble

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_SHOWN, _MINIMUM, _MANY = 12, 100, 1_000
_KINDS = ("numeric", "categorical", "boolean")


def weak_spots(spark: SparkSession, fitted: FittedPipeline, most_columns: int) -> ErrorSlices | None:
    """Return the slices of the test rows on which the model is worst, by up to `most_columns` raw columns that it reads, and by two of them.

    Of rankings, whose rows have no error of their own, and of models without such a column there are none.
    """
    plan = fitted.plan
    raw = fitted.raw.dataframe(spark)
    columns = _columns(fitted, dict(raw.dtypes), most_columns)
    if plan.task == "ranking" or not columns:
        return None
    cut = _scored(spark, fitted, raw, columns)
    try:
        rows = fitted.rows.get("test", 0)
        names = [f"__slice_{i}" for i in range(len(columns))]
        found = worst_slices(
            cut,
            names,
            task="regression" if plan.task == "regression" else "classes",
            label="truth",
            prediction="answer",
            # Of few rows a column is cut into few ranges, or no slice would be large enough to say anything.
            groups=6 if rows >= _MANY else 3,
            minimum=max(10, min(_MINIMUM, rows // 20)),
            most=_SHOWN,
        )
    finally:
        cut.unpersist()
    own = dict(zip(names, columns, strict=True))
    return found.model_copy(update={"slices": [_named(s, own) for s in found.slices]})


def _columns(fitted: FittedPipeline, types: dict[str, str], most: int) -> list[str]:
    """Return the raw columns to cut by, the most important first."""
    importance = fitted.model.importance()
    able = [
        c
        for c in fitted.plan.columns
        if (c.each[0] if c.kind == "several" else c).kind in _KINDS
        and c.name in types
        and not types[c.name].startswith(NO_GROUPS)
    ]
    return [
        c.name for c in sorted(able, key=lambda c: -sum(importance.get(f, 0.0) for f in c.features))[:most]
    ]


def _scored(spark: SparkSession, fitted: FittedPipeline, raw: DataFrame, columns: list[str]) -> DataFrame:
    """Return the test rows' columns under names that no answer has, `truth` and `answer`."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    kept = {f"__slice_{i}": name for i, name in enumerate(columns)}
    rows = raw.select("*", *(sf.col(quoted(name)).alias(own) for own, name in kept.items()))
    test = assemble(rows, fitted.plan, keep=list(kept)).where(sf.col(SPLIT) == "test")
    scored = fitted.model.transform(test, keep=[LABEL, *kept], spark=spark)
    answer: Column = sf.col("prediction")
    truth: Any = sf.col(LABEL)
    if fitted.plan.task != "regression":
        answer, truth = answer.cast("int"), truth.cast("int")
    return scored.select(truth.alias("truth"), answer.alias("answer"), *kept).persist()


def _named(found: Slice, own: dict[str, str]) -> Slice:
    return found.model_copy(update={"columns": [own[c] for c in found.columns]})
