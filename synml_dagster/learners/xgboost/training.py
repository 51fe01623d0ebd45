"""Trains XGBoost in this process, and keeps its JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, SetupError, TrainingError, did_you_mean
from synml_dagster.features.fitting.precision import label_offset
from synml_dagster.learners.judging import Judge, StoppedError
from synml_dagster.learners.one_process.rows import Rows, sample_note
from synml_dagster.learners.progress import Progress
from synml_dagster.learners.xgboost.metrics import is_higher_better, metrics_of, reported
from synml_dagster.learners.xgboost.model import XGBoostModel
from synml_dagster.learners.xgboost.parameters import INSTALL, TAKES_OFFSET

if TYPE_CHECKING:
    from types import ModuleType

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings

_OURS = ("max_rows", "eval_metric", "monotone_constraints", "interaction_constraints")
_PACE = 1.0
"""Seconds between two signs of life."""
_LARGEST = float(np.finfo(np.float32).max)


def xgboost_package() -> ModuleType:
    """Return the package.

    Raises
    ------
    SetupError
        It cannot be loaded.
    """
    try:
        import xgboost
    except Exception as problem:  # XGBoost raises its own error where its library cannot be loaded
        raise SetupError(f"XGBoost cannot be loaded here: {problem}. {INSTALL}") from problem
    return xgboost


def train(
    plan: FeaturePlan,
    spec: Settings,
    params: Mapping[str, Any],
    train_rows: Rows,
    held: Rows,
    *,
    threads: int,
    on_progress: Callable[[Any], None] | None = None,
    judge: Judge | None = None,
) -> XGBoostModel:
    """Train on `train_rows`, stopping early by the first metric on `held`.

    Raises
    ------
    SetupError
        XGBoost is not there.
    DataError
        A classifier's training rows have one class alone.
    TrainingError
        XGBoost refuses the rows or the parameters.
    """
    xgb = xgboost_package()
    began = time.monotonic()
    features, objective = plan.feature_names, str(params["objective"])
    offset = label_offset(plan) if objective in TAKES_OFFSET else 0.0
    _check_classes(train_rows, plan.task)
    metrics = metrics_of(params.get("eval_metric"), plan.task)
    given = {
        **{name: value for name, value in params.items() if name not in _OURS},
        **_constraints(params, features),
        "eval_metric": metrics,
        "seed": spec.seed,
        "verbosity": 0,
        "nthread": int(params.get("nthread") or threads),
    }
    history: dict[str, dict[str, list[float]]] = {}
    callbacks: list[Any] = [_signs_of_life(xgb, on_progress, spec.rounds)] if on_progress else []
    stopped: list[StoppedError] = []
    if judge is not None:
        callbacks.append(_judged(xgb, judge, metrics[0], float(params.get("learning_rate", 0.3)), stopped))
    if spec.early_stopping:
        callbacks.append(
            xgb.callback.EarlyStopping(
                rounds=spec.early_stopping,
                metric_name=metrics[0],
                data_name="validation",
                maximize=is_higher_better(metrics[0]),
            )
        )
    try:
        data = _matrix(xgb, plan, train_rows, offset, given, None)
        booster = xgb.train(
            given,
            data,
            spec.rounds,
            evals=[(_matrix(xgb, plan, held, offset, given, data), "validation")],
            evals_result=history,
            callbacks=callbacks,
            verbose_eval=False,
        )
    except (xgb.core.XGBoostError, ValueError) as problem:
        raise TrainingError(f"XGBoost did not train: {_first_lines(problem)}") from problem
    if stopped:
        raise stopped[0]
    best = booster.best_iteration + 1 if spec.early_stopping else None
    kept = best or booster.num_boosted_rounds()
    if kept < booster.num_boosted_rounds():
        booster = booster[:kept]
    return XGBoostModel(
        text=booster.save_raw("json").decode(),
        features=list(features),
        categorical=list(plan.categorical_features),
        objective=objective,
        history={"validation": {reported(m): values for m, values in history["validation"].items()}},
        best_iteration=best,
        params={k: v for k, v in params.items() if v is not None},
        facts={
            "rows": len(train_rows.y),
            "rows of the table": train_rows.of,
            "rounds kept": kept,
            "seconds": round(time.monotonic() - began, 3),
            "xgboost": xgb.__version__,
            "notes": [*sample_note(train_rows, "XGBoost"), *_weight_note(train_rows)],
        },
        label_offset=offset,
    )


def _matrix(
    xgb: ModuleType, plan: FeaturePlan, rows: Rows, offset: float, params: Mapping[str, Any], base: Any
) -> Any:
    """Return rows as XGBoost takes them: NaN is missing, an infinite number is the largest, codes are categories."""
    X = np.clip(rows.X, -_LARGEST, _LARGEST) if np.isinf(rows.X).any() else rows.X
    categorical = set(plan.categorical_features)
    common: dict[str, Any] = {
        "label": rows.y - offset,
        "feature_types": ["c" if name in categorical else "q" for name in plan.feature_names],
        "enable_categorical": True,
        "nthread": params["nthread"],
    }
    if rows.group is not None:
        common |= {"qid": rows.group, "weight": _weight_of_queries(rows)}
    else:
        common["weight"] = rows.weight
    if params.get("tree_method") in ("exact", "approx"):
        return xgb.DMatrix(X, **common)
    bins = {"max_bin": params["max_bin"]} if "max_bin" in params else {}
    return xgb.QuantileDMatrix(X, ref=base, **common, **bins)


def _weight_of_queries(rows: Rows) -> NDArray[np.float64]:
    """Return the mean weight of each query's rows: XGBoost weighs queries."""
    assert rows.group is not None
    return np.bincount(rows.group, rows.weight) / np.bincount(rows.group)


def _weight_note(rows: Rows) -> list[str]:
    if rows.group is None:
        return []
    own = _weight_of_queries(rows)[rows.group]
    if np.allclose(own, rows.weight):
        return []
    return [
        "XGBoost weighs a ranking's queries and not their rows: each query has the mean weight of its rows"
    ]


def _check_classes(rows: Rows, task: str) -> None:
    if task in ("binary", "multiclass") and len(np.unique(rows.y[rows.weight > 0])) < 2:
        raise DataError(
            "all training rows with a weight have one class; there is nothing to tell apart. Choose another split, or bring more rows."
        )


def _constraints(params: Mapping[str, Any], features: Sequence[str]) -> dict[str, Any]:
    """Return constraints by place: descriptions say them by feature."""
    found: dict[str, Any] = {}
    place = {name: i for i, name in enumerate(features)}

    def at(name: str, key: str) -> int:
        if name not in place:
            raise ConfigError(f"train.params.{key}: there is no feature {name!r}.{did_you_mean(name, place)}")
        return place[name]

    if said := params.get("monotone_constraints"):
        signs = [0] * len(features)
        for name, sign in said.items():
            signs[at(name, "monotone_constraints")] = sign
        found["monotone_constraints"] = tuple(signs)
    if said := params.get("interaction_constraints"):
        # As text, because XGBoost looks a list up among the names of columns, which have none here.
        found["interaction_constraints"] = str(
            [[at(name, "interaction_constraints") for name in names] for names in said]
        )
    return found


def _first_lines(problem: BaseException) -> str:
    """XGBoost puts its C++ stack behind its message."""
    text = str(problem).split("Stack trace")[0].strip()
    return text.split("] ", 2)[-1] if text.startswith("[") else text


def _judged(xgb: ModuleType, judge: Judge, metric: str, rate: float, stopped: list[StoppedError]) -> Any:
    class Judged(xgb.callback.TrainingCallback):  # type: ignore[name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            value = float(evals_log["validation"][metric][-1])
            if judge((epoch + 1) * rate, value):
                stopped.append(StoppedError(epoch + 1, value))
            return bool(stopped)

    return Judged()


def _signs_of_life(xgb: ModuleType, on_progress: Callable[[Any], None], rounds: int) -> Any:
    class SignsOfLife(xgb.callback.TrainingCallback):  # type: ignore[name-defined]
        began = last = 0.0

        def before_training(self, model: Any) -> Any:
            self.began = self.last = time.monotonic()
            return model

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            now = time.monotonic()
            if now - self.last >= _PACE or epoch + 1 == rounds:
                self.last, passed = now, now - self.began
                metrics = {
                    data: {reported(name): float(values[-1]) for name, values in logs.items()}
                    for data, logs in evals_log.items()
                }
                on_progress(
                    Progress(epoch + 1, rounds, metrics, passed, passed / (epoch + 1) * (rounds - epoch - 1))
                )
            return False

    return SignsOfLife()
