"""Live: how the champion does on rows that it scored before their labels were known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from synml_dagster.checks.keys import repeated_keys
from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.evaluation import Evaluation, better_by, higher_is_better
from synml_dagster.features import LABEL, WEIGHT, label_columns, weight_column
from synml_dagster.sources import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.features import FeaturePlan


class LiveSpec(BaseModel):
    """The `live` part of a description: labels that come after the rows were scored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: list[str] = Field(min_length=1, description="Columns that together tell a row, there and here.")
    labels: Source | None = Field(
        default=None,
        description="Where the labels come to: rows with the columns of `key` and the label; the pipeline's own source where absent.",
    )
    tolerance: float = Field(
        default=0.02,
        ge=0,
        description="How far the metric may be worse than it was on the champion's test rows, as a share of that for an error such as rmse, else in the metric's own units.",
    )
    minimum_rows: int = Field(
        default=200, ge=1, description="Below so many labelled rows nothing is said, and the check passes."
    )
    last: int | None = Field(
        default=None,
        ge=1,
        description="With partitions: how many of the newest that were scored are measured; all of them where absent.",
    )
    labelled: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The share of scored rows that must have a label, else the check `label_arrival` fails; not checked where absent.",
    )
    severity: Literal["warn", "error"] = Field(default="warn", description="How a failure is shown.")

    @field_validator("key")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("live.key names a column twice; keep one")
        return value


def labelled_since(
    scored: DataFrame, labels: DataFrame, plan: FeaturePlan, key: list[str], champion: str
) -> tuple[DataFrame, int]:
    """Join the champion's scores with labels that were not known when they were made.

    A row that had its label when it was scored may have been trained on, and would flatter the model.

    Parameters
    ----------
    scored
        Predictions: `key`, the answers, `model_version`, and the label as it was then, where they carry it.
    labels
        `key` and the label; rows whose label is still missing count as none. The weight of the rows, where the plan has one,
        comes from here, else from the predictions, where they carry it. Where one of the labelled rows has none, none counts.
    champion
        The version whose rows are meant.

    Returns
    -------
    The rows that have a label now, with `__label` and, where it is known, `__weight`, and how many the champion has scored without one.

    Raises
    ------
    DataError
        A column is missing, or the key tells rows apart in neither table: a join would multiply them.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    for where, table, columns in (
        ("the predictions", scored, key),
        ("live.labels", labels, [*key, plan.label.column]),
    ):
        for name in columns:
            if name not in table.columns:
                raise DataError(
                    f"live.key: {where} have no column {name!r}.{did_you_mean(name, table.columns)}"
                )
    made = scored.where(sf.col("model_version") == champion)
    if plan.label.column in scored.columns:
        made = made.where(label_columns(made, plan)[0] == "")
    answers = [c for c in ("prediction", "probability", "probabilities") if c in scored.columns]
    weight = weight_column(labels, plan)
    own = weight_column(made, plan) if weight is None else None
    made = made.select(*(sf.col(quoted(c)) for c in [*key, *answers]), *([] if own is None else [own]))
    word, label = label_columns(labels, plan)
    known = labels.where(word != "").select(
        *(sf.col(quoted(c)) for c in key), label.alias(LABEL), *([] if weight is None else [weight])
    )
    _check_unique(made, key, "the predictions")
    _check_unique(known, key, "live.labels")
    parts = []
    for table, kept in ((made, answers), (known, [LABEL])):
        kept = [*kept, *(c for c in table.columns if c == WEIGHT)]
        parts.append(table.select(*(sf.col(quoted(c)).alias(f"__key{i}") for i, c in enumerate(key)), *kept))
    joined = parts[0].join(parts[1], [f"__key{i}" for i in range(len(key))])
    # A row that has a label may still have no weight, and a part of them would be another measure.
    if WEIGHT in joined.columns and not joined.where(sf.isnan(WEIGHT)).isEmpty():
        joined = joined.drop(WEIGHT)
    return joined, made.count()


def _check_unique(table: DataFrame, key: list[str], where: str) -> None:
    if worst := repeated_keys(table, key):
        raise DataError(
            f"live.key: {', '.join(map(repr, key))} does not tell the rows of {where} apart: {'; '.join(worst)}. Name all columns that do."
        )


def decayed(
    metric: str, live: Evaluation, test: Evaluation, spec: LiveSpec
) -> tuple[bool, str, float | None]:
    """Return whether the live metric is worse than the test rows' by more than the tolerance, a sentence, and the loss."""
    if live.rows < spec.minimum_rows:
        return (
            False,
            f"{live.rows} labelled rows are too few to tell; live.minimum_rows is {spec.minimum_rows}",
            None,
        )
    if test.weighted and not live.weighted:
        return (
            False,
            f"the champion's test rows had weights and these have none, or not all, so that {metric} cannot be compared: let live.labels, or the predictions, carry the column of weights",
            None,
        )
    now, then = live.metrics.get(metric), test.metrics.get(metric)
    if now is None or then is None:
        which = "rows that were labelled since" if now is None else "champion's test rows"
        return False, f"the {which} give no {metric}, so that nothing can be compared", None
    up = higher_is_better(metric)
    allowed = spec.tolerance if up else spec.tolerance * abs(then)
    loss = -better_by(metric, now, then)
    said = f"{metric} is {now:.6g} on {live.rows} rows and was {then:.6g} on the test rows"
    if loss > allowed:
        return True, f"{said}: worse by {loss:.3g}, and {allowed:.3g} is tolerated", loss
    return False, said, loss
