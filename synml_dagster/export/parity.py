"""The parity gate: the exported graph against Spark's own path, on rows of the table and on rows made to break it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.export.adversarial import MOST_CELLS, adversarial_rows
from synml_dagster.onnx import OnnxModel, Scorer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel

TOLERANCE = 1e-6
_ROW = "__parity_row"


@dataclass(frozen=True)
class ParityReport:
    """How far the graph is from the model it was exported from.

    Attributes
    ----------
    rows, adversarial_rows
        Rows compared, and those among them that were made up.
    max_difference
        The largest difference of a probability, or of a number relative to its size or to the spread of
        the target, whichever is larger.
    rows_different, labels_different
        Rows beyond the tolerance; rows whose class differs although one is likelier than the others by more than it.
    worst
        The raw values of the row that differs most, with `spark` and `onnx` answers and the `difference`.
    """

    rows: int
    max_difference: float
    labels_different: int
    worst: dict[str, Any]
    passed: bool
    tolerance: float = TOLERANCE
    rows_different: int = 0
    adversarial_rows: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)


def check_parity(
    spark: SparkSession,
    plan: FeaturePlan,
    model: TrainedModel,
    onnx: OnnxModel,
    raw_df: DataFrame,
    rows: int = 20_000,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> ParityReport:
    """Score rows both ways and compare.

    One way is Spark's: `assemble` and the learner's own predict. The other is the raw row through ONNX Runtime, with the
    trees walked by the graph and, where they suit, by the tables that large batches take (see `Scorer`); the report is
    of the worse of the two. Beside up to `rows` rows of `raw_df`, fewer where they have more than a thousand columns,
    it takes rows with nulls, NaN, infinities, unseen and odd words, extreme numbers and dates, and values exactly at
    the model's thresholds.

    Returns
    -------
    ParityReport
        `passed` where no label differs and no difference is above `tolerance`.
    """
    raw = _sample(raw_df, plan, min(rows, max(1000, MOST_CELLS // len(plan.columns))), seed)
    made = adversarial_rows(raw, plan, model, seed=seed)
    together = made if raw.num_rows == 0 else _concat(raw, made)
    features = _assembled(spark, plan, raw_df, together)
    theirs = np.asarray(model.predict(features)).reshape(len(features), -1)
    scorers = [Scorer(onnx, threads=2, outputs=_answers(onnx), trees="tables")]
    if scorers[0].has_tables:
        scorers.append(Scorer(onnx, threads=2, outputs=_answers(onnx), trees="onnxruntime"))
    found = [
        _compare(plan, theirs, scorer.score(together), together, made.num_rows, tolerance, model.label_offset)
        for scorer in scorers
    ]
    return max(found, key=lambda report: (not report.passed, report.labels_different, report.max_difference))


def _answers(onnx: OnnxModel) -> list[str]:
    return ["prediction", "probability"] if "label" in onnx.roles else ["prediction"]


def _sample(raw_df: DataFrame, plan: FeaturePlan, rows: int, seed: int) -> pa.Table:
    from synml_dagster.spark.quoting import quoted

    tops = list(dict.fromkeys(raw.path[0] for raw in plan.raw_inputs))
    chosen = raw_df.select(*[quoted(name) for name in tops])
    total = plan.rows
    if total > 4 * rows:
        # The first rows of a table are often alike; a thin sample of it all is not.
        chosen = chosen.sample(fraction=min(1.0, 1.5 * rows / total), seed=seed)
    return chosen.limit(rows).toArrow()


def _concat(raw: pa.Table, made: pa.Table) -> pa.Table:
    import pyarrow as pa

    # In one piece, because Spark makes a task of every piece.
    return pa.concat_tables([raw, made.cast(raw.schema)]).combine_chunks()


def _assembled(spark: SparkSession, plan: FeaturePlan, raw_df: DataFrame, rows: pa.Table) -> np.ndarray:
    """Return the plan's features of `rows` as Spark makes them, float32 `[N, F]`, in the order of `rows`."""
    import pyarrow as pa
    from pyspark.sql.types import LongType, StructField, StructType

    from synml_dagster.features import assemble

    numbered = rows.append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    own = {f.name: f for f in raw_df.schema.fields}
    schema = StructType([*(own[name] for name in rows.schema.names), StructField(_ROW, LongType())])
    frame = spark.createDataFrame(numbered, schema=schema)
    made = assemble(frame, plan, training=False, keep=[_ROW]).toArrow()
    order = np.argsort(made.column(_ROW).to_numpy(), kind="stable")
    if len(order) != rows.num_rows:
        raise AssertionError(f"assemble returned {len(order)} rows of {rows.num_rows}")
    columns = [made.column(name).to_numpy().astype(np.float32, copy=False) for name in plan.feature_names]
    return np.stack(columns, axis=1)[order] if columns else np.zeros((rows.num_rows, 0), np.float32)


def _compare(
    plan: FeaturePlan,
    theirs: np.ndarray,
    answers: pa.RecordBatch,
    rows: pa.Table,
    made: int,
    tolerance: float,
    model_offset: float,
) -> ParityReport:
    ours_label = None
    classes = plan.label.classes
    if "probability" in answers.schema.names:
        column = answers.column("probability")
        flat = column.flatten() if theirs.shape[1] > 1 else column
        ours = flat.to_numpy(zero_copy_only=False).reshape(len(theirs), -1).astype(np.float64)
        ours_label = answers.column("prediction").to_pylist()
        difference = np.abs(ours - theirs).max(axis=1)
    else:
        ours = answers.column("prediction").to_numpy(zero_copy_only=False).reshape(-1, 1)
        # A difference is small beside the number, or beside what the target's values differ by: a target of a millionth too.
        size = np.maximum(_spread(plan), np.abs(theirs - model_offset))
        both_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        with np.errstate(invalid="ignore"):
            difference = np.where(both_same, 0, np.abs(ours - theirs) / size).max(axis=1)
    difference = np.where(np.isnan(difference), np.inf, difference)
    labels_different = 0
    if ours_label is not None and classes:
        index = (theirs[:, 0] > 0.5).astype(int) if theirs.shape[1] == 1 else theirs.argmax(axis=1)
        expected = _labels(ours_label, [classes[i] for i in index])
        near = _near_ties(theirs, tolerance)
        labels_different = sum(
            a != b and not tied for a, b, tied in zip(ours_label, expected, near, strict=True)
        )
    worst = int(difference.argmax()) if len(difference) else 0
    largest = float(difference.max(initial=0.0))
    shown = (
        {name: _plain(value) for name, value in rows.slice(worst, 1).to_pylist()[0].items()}
        if rows.num_rows
        else {}
    )
    return ParityReport(
        rows=len(theirs),
        max_difference=largest,
        labels_different=labels_different,
        worst={
            "row": shown,
            "spark": [_plain(float(v)) for v in theirs[worst]] if len(theirs) else [],
            "onnx": [_plain(float(v)) for v in ours[worst]] if len(theirs) else [],
            "difference": _plain(largest),
        },
        passed=labels_different == 0 and largest <= tolerance,
        tolerance=tolerance,
        rows_different=int((difference > tolerance).sum()),
        adversarial_rows=made,
    )


def _spread(plan: FeaturePlan) -> float:
    """What a regression's labels differ by; a ranking's scores are no grades."""
    low, high = plan.label.minimum, plan.label.maximum
    if plan.task != "regression":
        return 1.0
    return 1.0 if low is None or high is None or not high > low else float(high - low)


def _near_ties(probabilities: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the two likeliest classes are as good as equally likely, bool `[rows]`: either is then the right answer."""
    if probabilities.shape[1] == 1:
        return np.abs(2 * probabilities[:, 0] - 1) <= 2 * tolerance
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.abs(two[:, 1] - two[:, 0]) <= 2 * tolerance


def _labels(like: list[Any], words: list[str]) -> list[Any]:
    """Return class names as the type that the graph answers."""
    first = next((value for value in like if value is not None), "")
    if isinstance(first, bool):
        return [word.lower() == "true" for word in words]
    if isinstance(first, int):
        return [int(word) for word in words]
    return [float(word) for word in words] if isinstance(first, float) else words


def _plain(value: Any) -> Any:
    """Values as JSON can hold them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, int | str | bool) else str(value)
