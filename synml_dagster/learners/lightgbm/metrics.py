"""Which way LightGBM's metrics are better, by LightGBM's own word."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from synml_dagster.errors import ConfigError

# Judge the order of the scores alone: a model of one tree can have the best of them and answer one class for every row.
ORDER_ONLY = frozenset({"auc", "average_precision", "auc_mu"})
_PROPER = {"binary": "binary_logloss", "multiclass": "multi_logloss"}


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
    raise ConfigError(f"train.params.metric: LightGBM has no metric {metric!r}")
