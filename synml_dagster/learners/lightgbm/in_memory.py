"""LightGBM on rows in memory, in one process and with few threads: what a sweep's trial does on an executor.

The model is one that a single rank trains, but for the sample that bins are found from, which is LightGBM's own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.learners.judging import Judge, StoppedError
from synml_dagster.learners.lightgbm.arguments import take_functions, take_schedule
from synml_dagster.learners.lightgbm.feature_names import named
from synml_dagster.learners.lightgbm.model import LightGBMModel
from synml_dagster.learners.lightgbm.worker.early_stopping import Watch
from synml_dagster.learners.lightgbm.worker.rank import clean_text
from synml_dagster.learners.one_process.rows import Rows

if TYPE_CHECKING:
    import lightgbm as lgb


# What a Dataset fixes when it is made: LightGBM's src/c_api.cpp, Booster::CheckDatasetResetConfig.
_OF_BINS = (
    "max_bin",
    "max_bin_by_feature",
    "min_data_in_bin",
    "bin_construct_sample_cnt",
    "data_random_seed",
    "use_missing",
    "zero_as_missing",
    "categorical_feature",
    "enable_bundle",
    "is_enable_sparse",
    "linear_tree",
    "forcedbins_filename",
    "monotone_constraints",
    "max_cat_threshold",
)
_KEPT = "lightgbm"
_PART, _MANY = 0.9, 64
_ROUNDS_KEPT = 2


def fit_rows(
    params: Mapping[str, Any],
    train: Rows,
    validation: Rows,
    *,
    features: Sequence[str],
    categorical: Sequence[str],
    rounds: int,
    early_stopping: int | None,
    seed: int,
    threads: int,
    label_offset: float = 0.0,
    judge: Judge | None = None,
    judged_by: str | None = None,
) -> LightGBMModel:
    """Train on `train`, stopping early by `validation`; the bins of the rows are made once and kept beside them.

    `judge` is told the metric `judged_by`, which need not be the first, that trainings stop by.
    """
    import lightgbm as lgb

    began = time.monotonic()
    given = dict(params)
    objective = given.pop("objective") if callable(given.get("objective")) else None
    metrics, given = take_functions(given)
    rates, given = take_schedule(given)
    patience = early_stopping if early_stopping and early_stopping > 0 else None
    watch = Watch(
        patience,
        str(given.pop("first_metric_only", False)).casefold() in ("true", "1"),
        float(given.pop("early_stopping_min_delta", 0.0)),
    )
    native: dict[str, Any] = {
        "verbosity": -1,
        "deterministic": True,
        "seed": seed,
        **given,
        "num_threads": threads,
        "feature_pre_filter": False,  # one Dataset serves all values of min_data_in_leaf
    }
    if objective is not None:
        native["objective"] = "none"
    if metrics and "metric" not in native:
        native["metric"] = "none"
    if "force_row_wise" not in native and "force_col_wise" not in native:
        native[_histograms(len(features), native)] = True
    if categorical:
        native["categorical_feature"] = [list(features).index(name) for name in categorical]
    bins = _dataset(train, native, label_offset)
    held = _dataset(validation, native, label_offset, bins)
    booster = lgb.Booster(native, bins)
    booster.add_valid(held, "validation")
    answers = _Answers()
    rate = float(given.get("learning_rate", 0.1)) if rates is None else 0.1
    for done in range(1, rounds + 1):
        if rates is not None:
            booster.reset_parameter(
                {"learning_rate": float(rates(done - 1) if callable(rates) else rates[done - 1])}
            )
        booster.update(fobj=objective)
        results = booster.eval_valid([*metrics, answers.take])
        if judge is not None:
            value = next((r[2] for r in results if r[1] == judged_by), results[0][2])
            if judge(done * rate, value):
                raise StoppedError(done, value)
        over = watch.record(done, results)
        if patience is None or any(at == done for _, at in watch.best.values()):
            answers.keep(done)
        if over:
            break
    best = watch.finish()
    model = LightGBMModel(
        text=named(clean_text(booster.model_to_string(num_iteration=best or -1)), features),
        features=list(features),
        categorical=list(categorical),
        objective="custom" if objective is not None else str(given.get("objective", "regression")),
        num_class=int(given.get("num_class", 1)),
        label_offset=label_offset,
        params={**given, "seed": seed, "num_iterations": rounds},
        history=watch.history,
        best_iteration=best,
        facts={"rows": len(train), "seconds": round(time.monotonic() - began, 3)},
    )
    if objective is None and (found := answers.of(best or done)) is not None:
        model.answers_held(found + label_offset)
    return model


def _histograms(features: int, params: Mapping[str, Any]) -> str:
    """Return how histograms are made: with one thread both ways give the same model, by columns those that a tree leaves out cost nothing.

    With several threads LightGBM adds up in another order by rows, and `deterministic` wants one way for all trials. Quantized
    gradients give another model by columns where some are sparse.
    """
    of_tree = float(params.get("feature_fraction", 1.0))
    exact = params["num_threads"] == 1 and not params.get("use_quantized_grad")
    by_columns = exact and (of_tree < _PART or features > _MANY)
    return "force_col_wise" if by_columns else "force_row_wise"


class _Answers:
    """The booster's own answers for the validation rows, which it has after every round: asking for them again takes an eighth of a trial."""

    def __init__(self) -> None:
        self._latest: Any = None
        self._kept: dict[int, Any] = {}

    def take(self, answers: Any, _: Any) -> list[Any]:
        """Take what LightGBM passes to a metric; it is none."""
        self._latest = answers
        return []

    def keep(self, done: int) -> None:
        """Keep the answers of this round, and of the few before it that may be the best."""
        self._kept[done] = np.array(self._latest, np.float64)
        while len(self._kept) > _ROUNDS_KEPT:
            del self._kept[next(iter(self._kept))]

    def of(self, done: int) -> Any:
        """Return the answers of a round, None where they are gone."""
        return self._kept.get(done)


def _dataset(
    rows: Rows, params: Mapping[str, Any], offset: float, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    import lightgbm as lgb

    key = (_KEPT, offset, id(reference), repr([(name, params.get(name)) for name in _OF_BINS]))
    known = rows.derived.get(key)
    if known is not None:
        return known
    for old in [k for k in rows.derived if k[0] == _KEPT]:  # the bins of one choice are held at a time
        del rows.derived[old]
    group = None
    if rows.group is not None:
        cuts = np.flatnonzero(np.diff(rows.group)) + 1
        group = np.diff(np.concatenate([[0], cuts, [len(rows)]]))
    made = lgb.Dataset(
        rows.X,
        label=rows.y - offset,
        weight=None if (rows.weight == 1).all() else rows.weight,
        group=group,
        reference=reference,
        categorical_feature=params.get("categorical_feature", []),
        params={k: v for k, v in params.items() if k != "categorical_feature"},
        free_raw_data=True,
    ).construct()
    rows.derived[key] = made
    return made
