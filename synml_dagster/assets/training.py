"""How a table of features becomes a LightGBM model: shared by the sweep's trials and by the final model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synml_dagster.assets.specs import TrainSpec
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features import GROUP, LABEL, SPLIT, WEIGHT, FeaturePlan
from synml_dagster.features.fitting.precision import label_offset
from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBM, LightGBMModel
from synml_dagster.learners.lightgbm.metrics import (
    is_higher_better,
    label_gains,
    metric_names,
    stopping_metrics,
)
from synml_dagster.learners.lightgbm.objectives import TAKES_OFFSET, objective_of, root_of_labels
from synml_dagster.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

_OBJECTIVE = {
    "binary": "binary",
    "multiclass": "multiclass",
    "regression": "regression",
    "ranking": "lambdarank",
}
# The first of each stops the training and is what the sweep searches by; all are reported round by round. It is a proper
# score: the area under the curve can be 1 after one tree whose probabilities are all on one side of a half.
_METRICS = {
    "binary": ["binary_logloss", "auc"],
    "multiclass": ["multi_logloss", "multi_error"],
    "regression": ["rmse", "l1"],
    "ranking": ["ndcg"],
}


def searched_metric(plan: FeaturePlan, train: TrainSpec) -> tuple[str, bool]:
    """Return the metric that a sweep searches by, the first that is asked for, and whether more of it is better."""
    metric = metric_names(train.params.get("metric") or _METRICS[plan.task])[0]
    return metric, is_higher_better(metric)


def side(features: Table, name: str) -> ParquetFiles:
    """Return the files of one side of the split.

    Raises
    ------
    DataError
        That side has no row.
    """
    files = features.files(**{SPLIT: name})
    if not files.paths:
        raise DataError(
            f"no row of the table is on the {name} side of the split; the table is too small for it. "
            f"Raise split.{name if name != 'train' else 'test and split.validation; lower them'}, or bring more rows."
        )
    return files


def train_params(plan: FeaturePlan, train: TrainSpec, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return LightGBM's parameters: the task's, then what the sweep chose, then what the description says.

    Raises
    ------
    ConfigError
        `label_gain` leaves grades of the label without a gain.
    """
    params: dict[str, Any] = {
        "objective": _OBJECTIVE[plan.task],
        "metric": _METRICS[plan.task],
        "verbosity": -1,
    }
    if plan.task == "multiclass":
        params["num_class"] = len(plan.label.classes or [])
    if plan.linear_gain:
        params["label_gain"] = list(range(int(plan.label.maximum or 0) + 1))
    if "bagging_fraction" in chosen and chosen["bagging_fraction"] < 1 and "bagging_freq" not in train.params:
        params["bagging_freq"] = 1  # without it LightGBM accepts a bagging_fraction and ignores it
    params |= dict(chosen) | dict(train.params)
    params["metric"] = stopping_metrics(params["metric"], plan.task)
    gains, most = label_gains(params), int(plan.label.maximum or 0)
    if plan.task == "ranking" and gains is not None and len(gains) <= most:
        raise ConfigError(
            f"train.params.label_gain has gains for the grades 0 to {len(gains) - 1}, and label {plan.label.column!r} has grades up to {most}. Give {most + 1} numbers, or leave it out."
        )
    return {"first_metric_only": True} | params


def fit(
    spark: SparkSession,
    plan: FeaturePlan,
    train: TrainSpec,
    chosen: Mapping[str, Any],
    rows: ParquetFiles,
    validation: ParquetFiles,
    **more: Any,
) -> LightGBMModel:
    """Train on `rows`, stopping early by `validation`."""
    names = set(rows.schema().names)
    params = train_params(plan, train, chosen)
    estimator = LightGBM(
        params,
        rounds=train.rounds,
        early_stopping=train.early_stopping or None,
        ranks=train.ranks,
        seed=train.seed,
        label_offset=label_offset(plan) if _takes_offset(params) else 0.0,
        **more.pop("estimator", {}),
    )
    return estimator.fit(
        rows,
        spark=spark,
        label=LABEL,
        features=plan.feature_names,
        weight=WEIGHT if WEIGHT in names else None,
        group=GROUP if GROUP in names else None,
        validation=validation,
        categorical=plan.categorical_features,
        **more,
    )


def lost_precision(plan: FeaturePlan, train: TrainSpec) -> str:
    """Say that a label far from zero loses its differences to float32 by an objective that takes no offset, or nothing."""
    offset, params = label_offset(plan), train_params(plan, train, {})
    if not offset or _takes_offset(params):
        return ""
    objective = params["objective"]
    name = getattr(objective, "__name__", objective)
    return (
        f"label {plan.label.column!r} goes from {plan.label.minimum:.15g} to {plan.label.maximum:.15g}, where float32, in which LightGBM keeps labels, "
        f"takes different ones for equal, and objective {name!r} cannot be trained on differences. Take a constant off the label in the source, or train with one of {', '.join(TAKES_OFFSET)}."
    )


def _takes_offset(params: Mapping[str, Any]) -> bool:
    known = not callable(params.get("objective"))
    return known and objective_of(params) in TAKES_OFFSET and not root_of_labels(params)


def check_weights(spark: SparkSession, plan: FeaturePlan, features: Table) -> None:
    """Refuse a side of the split on which no row has a weight, before anything is trained.

    Raises
    ------
    DataError
        All weights of a side are 0.
    """
    from pyspark.sql import functions as sf

    if plan.weight is None:
        return
    greatest = features.dataframe(spark).groupBy(SPLIT).agg(sf.max(WEIGHT).alias("weight")).collect()
    if empty := sorted(row[SPLIT] for row in greatest if not row["weight"]):
        raise DataError(
            f"weight {plan.weight.name!r} is 0 in all rows of the {empty[0]} side of the split, and nothing can be learned or measured there. "
            "Give those rows weights, leave the weight out, or choose another split."
        )


def validation_score(model: LightGBMModel, metric: str | None = None) -> tuple[str, float]:
    """Return a metric, the one that stopped the training where None, and its value at the model's last round."""
    metrics = model.history["validation"]
    name = metric if metric in metrics else next(iter(metrics))
    return name, metrics[name][(model.best_iteration or len(metrics[name])) - 1]


def progress_to(log: Callable[[str], None]) -> Callable[[Any], None]:
    """Return a callback that tells `log` the training's progress."""
    return lambda progress: log(str(progress))
