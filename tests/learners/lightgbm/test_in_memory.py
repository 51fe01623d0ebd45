"""Trainings in one process: the answers that they end with are those of their models, and histograms are no matter of quality."""

from __future__ import annotations

import numpy as np
import pytest

from synml_dagster.learners.lightgbm.in_memory import fit_rows
from synml_dagster.learners.one_process.rows import Rows

TASKS = {
    "binary": {"objective": "binary", "metric": ["binary_logloss", "auc"]},
    "multiclass": {"objective": "multiclass", "num_class": 3, "metric": ["multi_logloss"]},
    "regression": {"objective": "regression", "metric": ["rmse", "l1"]},
    "ranking": {"objective": "lambdarank", "metric": ["ndcg"], "eval_at": [10]},
}


def rows(n, task, seed):
    draw = np.random.default_rng(seed)
    X = np.asfortranarray(draw.normal(size=(n, 5)).astype(np.float32))
    X[draw.random(X.shape) < 0.1] = np.nan
    score = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1]) + draw.normal(0, 1, n)
    y = score > 0 if task == "binary" else score + 5 if task == "regression" else np.digitize(score, [-1, 1])
    group = np.repeat(np.arange(n // 10), 10) if task == "ranking" else None
    return Rows(X, np.asarray(y, np.float64), np.ones(n), n, group)


def trained(task, *, stop=10, threads=1, **params):
    train, held = rows(600, task, 1), rows(300, task, 2)
    offset = 0.5 if task == "regression" else 0.0
    model = fit_rows(
        {"first_metric_only": True, **TASKS[task], **params},
        train,
        held,
        features=list("abcde"),
        categorical=[],
        rounds=60,
        early_stopping=stop,
        seed=0,
        threads=threads,
        label_offset=offset,
    )
    return model, held


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("boosting", ["gbdt", "dart", "rf", "goss"])
def test_the_answers_that_a_training_ends_with_are_the_models(task, boosting):
    more = {"bagging_freq": 1, "bagging_fraction": 0.6} if boosting == "rf" else {}
    model, held = trained(task, stop=None if boosting == "dart" else 10, boosting=boosting, **more)
    kept = model.predict_held(held.X)
    again = model.predict_held(held.X)  # they are kept once
    assert again is not kept
    np.testing.assert_allclose(kept, again, rtol=1e-12, atol=1e-12)


def test_answers_are_the_models_where_several_metrics_stop():
    model, held = trained("binary", first_metric_only=False)
    np.testing.assert_allclose(model.predict_held(held.X), model.predict(held.X), rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_one_thread_trains_one_model_by_rows_and_by_columns(task):
    texts = {
        trained(task, feature_fraction=0.6, **{way: True})[0].text.partition("parameters:")[0]
        for way in ("force_row_wise", "force_col_wise")
    }
    assert len(texts) == 1
