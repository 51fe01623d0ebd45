"""Which way LightGBM's metrics are better, by LightGBM's own word."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean

# Judge the order of the scores alone: a model of one tree can have the best of them and answer one class for every row.
ORDER_ONLY = frozenset({"auc", "average_precision", "auc_mu"})
_PROPER = {"binary": "binary_logloss", "multiclass": "multi_logloss"}


_OF_CLASSES = frozenset(
    {
        *("multi_logloss", "multiclass", "softmax", "multiclassova", "multiclass_ova", "ova", "ovr"),
        *("multi_error", "auc_mu"),
    }
)
_OF_TWO = frozenset({"binary_logloss", "binary", "binary_error", "auc", "average_precision"})
_OF_RANKS = frozenset(
    {
        *("ndcg", "lambdarank", "rank_xendcg", "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart"),
        *("map", "mean_average_precision"),
    }
)
_OF_NUMBERS = frozenset(
    {"rmse", "mae", "l1", "l2", "mse", "mape", "huber", "fair", "poisson", "quantile", "gamma", "tweedie"}
)

_OF_TASK = {"multiclass": _OF_CLASSES, "binary": _OF_TWO, "ranking": _OF_RANKS, "regression": _OF_NUMBERS}
_NO_METRIC = frozenset({"none", "None", "na", "null", "custom", ""})


def check_metrics(metric: object, task: str) -> None:
    """Refuse metrics that LightGBM does not know, and those that say nothing of the task.

    Raises
    ------
    ConfigError
        One is unknown, of another task, or the area under a curve of a regression, which LightGBM would compute all the same.
    """
    if isinstance(metric, list):
        metric = [one for one in metric if isinstance(one, str)]  # functions of one's own are not LightGBM's
    if not isinstance(metric, str | list):
        return
    for name in metric_names(metric):
        base = name.split("@")[0]
        of = next((task for task, names in _OF_TASK.items() if base in names), None)
        if of is None and base not in _NO_METRIC:
            is_higher_better(base)
        fits = (
            of in (None, task) or (base, task) == ("auc", "ranking") or (of, task) == ("regression", "binary")
        )
        if not fits or (of is None and task == "multiclass" and base not in _NO_METRIC):
            some = ", ".join(sorted(_OF_TASK[task])[:8])
            raise ConfigError(
                f"train.params.metric: {name!r} says nothing of task {task}; LightGBM has {some} for it."
            )


def metric_names(metric: str | list[str]) -> list[str]:
    """Return the metrics that a parameter asks for, one by one: LightGBM takes a list and words between commas."""
    asked = metric.split(",") if isinstance(metric, str) else [str(one) for one in metric]
    return [name.strip() for name in asked if name.strip()]


def stopping_metrics(metric: str | list[str], task: str) -> list[str]:
    """Return the metrics of a training, the one that stops it first.

    A metric that judges the order of the scores alone does not stop: the log loss is put before it, so that what is
    kept is also right in the class that it answers.
    """
    names = metric_names(metric)
    proper = _PROPER.get(task)
    if proper is None or not names or names[0] not in ORDER_ONLY:
        return names
    return [proper, *(name for name in names if name != proper)]


def label_gains(params: Mapping[str, Any]) -> list[float] | None:
    """Return the gain of each grade that a ranking's parameters say, None where they leave LightGBM's own.

    Raises
    ------
    ConfigError
        `label_gain` is no list of numbers.
    """
    said = params.get("label_gain")
    if said is None or said == "":
        return None
    try:
        return [float(gain) for gain in (said.split(",") if isinstance(said, str) else said)]
    except (TypeError, ValueError):
        raise ConfigError(f"label_gain is a list of numbers, one a grade from 0; got {said!r}.") from None


@cache
def is_higher_better(metric: str) -> bool:
    """Return whether more of `metric`, any of LightGBM's names or aliases, is better.

    Raises
    ------
    ConfigError
        LightGBM knows no such metric.
    """
    import lightgbm as lgb
    import numpy as np

    labels = np.array([0.0, 1.0] * 10)
    of_classes = metric.startswith(("multi", "auc_mu", "softmax"))
    number: dict[str, Any] = {"objective": "regression"}
    classes: dict[str, Any] = {"objective": "multiclass", "num_class": 2}
    for way in (classes, number) if of_classes else (number, classes):
        params = {**way, "metric": metric.split("@")[0], "verbosity": -1, "num_threads": 1}
        try:
            data = lgb.Dataset(np.arange(20.0)[:, None], labels, group=[20], params=params)
            found = lgb.Booster(params, data).eval_train()
        except lgb.basic.LightGBMError:
            continue
        if found:
            return bool(found[0][3])
    near = did_you_mean(metric, sorted(frozenset().union(*_OF_TASK.values())))
    raise ConfigError(f"train.params.metric: LightGBM has no metric {metric!r}.{near}")
