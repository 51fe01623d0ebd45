"""The champion and the challenger in shadow on rows that were labelled since both scored them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synml_dagster.assets.evaluation import evaluate_scored
from synml_dagster.assets.stage import figure
from synml_dagster.checks import LiveSpec, ShadowLive, labelled_since
from synml_dagster.checks.shadow import CHALLENGER_VERSION, challenger_answers
from synml_dagster.checks.shadow_registry import InShadow, in_shadow, note_live
from synml_dagster.evaluation import better_by, higher_is_better
from synml_dagster.features import FeaturePlan
from synml_dagster.learners import TrainedModel
from synml_dagster.tables import Table, unioned

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.resources import MLflowResource


def both_live(
    mlflow: MLflowResource,
    name: str,
    metric: str,
    spec: LiveSpec,
    labels: DataFrame,
    tables: Sequence[Table],
    spark: SparkSession,
) -> dict[str, Any]:
    """Measure both models, note it on the version in shadow, and return metadata; nothing where none is in shadow or no label has come.

    Parameters
    ----------
    tables
        What `shadow_predictions` holds, by partition.
    """
    shadow = in_shadow(mlflow, name)
    champion = mlflow.champion(name)
    if shadow is None or champion is None or champion.version != shadow.beside or not tables:
        return {}
    plan = FeaturePlan.load(mlflow.download(shadow.version))
    whole = rows_of(unioned([table.dataframe(spark) for table in tables]), shadow)
    found = {}
    for who, answers, version in (
        ("champion", whole, champion),
        ("challenger", challenger_answers(whole), shadow.version),
    ):
        joined, _ = labelled_since(answers, labels, plan, spec.key, str(version.version))
        joined = joined.cache()
        try:
            if joined.isEmpty():
                return {}
            found[who] = evaluate_scored(joined, plan, TrainedModel.load(mlflow.download(version)))
        finally:
            joined.unpersist()
    ours, theirs = found["challenger"].metrics.get(metric), found["champion"].metrics.get(metric)
    if ours is None or theirs is None:
        return {}
    rows = found["challenger"].rows
    live = ShadowLive(metric=metric, champion=theirs, challenger=ours, rows=rows)
    loss = -better_by(metric, ours, theirs)
    allowed = spec.tolerance if higher_is_better(metric) else spec.tolerance * abs(theirs)
    if rows >= spec.minimum_rows and loss > allowed:
        live.worse = f"worse by {loss:.3g}, and live.tolerance allows {allowed:.3g}"
    with mlflow.deciding(name):
        note_live(mlflow, name, shadow, live)
    return {
        f"shadow/challenger/{metric}": figure(ours),
        f"shadow/champion/{metric}": figure(theirs),
        "shadow/rows labelled since": rows,
        "shadow": f"{shadow.name} in shadow: {live.said()}" + (f", {live.worse}" if live.worse else ""),
    }


def rows_of(tables: DataFrame, shadow: InShadow) -> DataFrame:
    """Return the rows that the version in shadow and the champion beside it have both scored: no earlier challenger's, so that both are measured on the same."""
    both = (tables["model_version"] == shadow.beside) & (
        tables[CHALLENGER_VERSION] == str(shadow.version.version)
    )
    return tables.where(both & tables["challenger_prediction"].isNotNull())
