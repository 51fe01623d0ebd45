"""XGBoost's metrics: under which name they are reported, which way they are better, and which may stop a training."""

from __future__ import annotations

from synml_dagster.errors import ConfigError, did_you_mean

_REPORTED = {
    "logloss": "binary_logloss",
    "error": "binary_error",
    "mlogloss": "multi_logloss",
    "merror": "multi_error",
    "mae": "l1",
}
"""Those that LightGBM has under another name: one metric has one name, whichever family it is measured of."""
_HIGHER = frozenset({"auc", "aucpr", "ndcg", "map", "pre"})
_BY_TASK = {
    "binary": ("logloss", "auc", "aucpr", "error"),
    "multiclass": ("mlogloss", "merror", "auc"),
    "regression": (
        "rmse",
        "mae",
        "mape",
        "rmsle",
        "mphe",
        "logloss",
        "poisson-nloglik",
        "gamma-nloglik",
        "gamma-deviance",
        "tweedie-nloglik",
        "quantile",
    ),
    "ranking": ("ndcg", "map", "pre"),
}
_DEFAULT = {
    "binary": ["logloss", "auc"],
    "multiclass": ["mlogloss", "merror"],
    "regression": ["rmse", "mae"],
    "ranking": ["ndcg@10"],
}
# The area under the curve can be 1 after one tree whose probabilities are all on one side of a half.
_ORDER_ONLY = frozenset({"auc", "aucpr"})


def metrics_of(said: object, task: str) -> list[str]:
    """Return XGBoost's names of the metrics of a training, the one that stops it first.

    Raises
    ------
    ConfigError
        A metric is unknown or another task's.
    """
    if said is None or said == []:
        return list(_DEFAULT[task])
    asked = [word.strip() for word in said.split(",")] if isinstance(said, str) else list(said)  # type: ignore[call-overload]
    known = _BY_TASK[task]
    ours = {_REPORTED.get(name, name): name for name in known}
    found: list[str] = []
    for word in asked:
        base, at, cut = str(word).partition("@")
        base = ours.get(base, base)
        if base not in known:
            raise ConfigError(
                f"train.params.eval_metric: {word!r} is no metric of task {task}; there are {', '.join(known)}.{did_you_mean(base, known)}"
            )
        found.append(f"{base}{at}{cut}")
    if found[0] in _ORDER_ONLY:
        proper = _DEFAULT[task][0]
        found = [proper, *(name for name in found if name != proper)]
    return found


def reported(name: str) -> str:
    """Return the name that a metric of XGBoost is reported under."""
    return _REPORTED.get(name, name)


def is_higher_better(name: str) -> bool:
    """Return whether more of a metric, by XGBoost's name, is better."""
    return name.partition("@")[0] in _HIGHER
