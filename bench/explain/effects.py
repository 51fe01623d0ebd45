"""Partial dependence with single curves, and permutation importance, beside scikit-learn's over the same model and rows.

Run: python bench/explain/effects.py [--rows 1000000] [--columns 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import partial_dependence as sklearn_dependence
from sklearn.inspection import permutation_importance as sklearn_importance

FEATURES, TRAINED, POINTS = 10, 50_000, 20
SHUFFLED = 200_000
"""The most rows that are shuffled at a time, here and there."""


class Booster(ClassifierMixin, BaseEstimator):
    """A trained model as scikit-learn asks one, on all cores."""

    def __init__(self, booster: lgb.Booster) -> None:
        self.booster = booster
        self.classes_, self.n_features_in_, self.fitted_ = np.array([0, 1]), FEATURES, True

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Booster:
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        told = self.booster.predict(np.asarray(X, dtype=np.float32), num_threads=os.cpu_count())
        return np.column_stack([1 - told, told])


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=rows).astype(np.float32) for i in range(FEATURES)})
    score = frame["x0"] + frame["x1"] * frame["x2"] - 1
    frame["label"] = (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int)
    return frame


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=3)
    options = parser.parse_args()

    from synml_dagster.explain.effects import partial_dependence, permutation_importance
    from synml_dagster.explain.effects.grid import sampled
    from synml_dagster.export import export_pipeline
    from synml_dagster.features import fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel
    from synml_dagster.onnx import OnnxModel
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[*]", conf={"spark.driver.memory": "6g"}))
    busy = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        frame = table(options.rows)
        frame.to_parquet(path)
        raw = spark.read.parquet(path)
        plan = fit_plan(raw, name="bench", label="label")
        names = plan.feature_names
        part = frame.head(TRAINED)
        data = lgb.Dataset(part[names].to_numpy(np.float32), part["label"])
        booster = lgb.train({"objective": "binary", "verbose": -1}, data, 100)
        told = {"features": names, "objective": "binary", "params": {"objective": "binary"}}
        graph = OnnxModel(export_pipeline(plan, LightGBMModel(text=booster.model_to_string(), **told)))
        asked, theirs = names[: options.columns], Booster(booster)
        partial_dependence(raw.limit(100), graph, asked[:1], points=POINTS)  # Python workers start

        began = time.monotonic()
        found = partial_dependence(raw, graph, asked, points=POINTS, curves=100, output="probability")
        ours = time.monotonic() - began
        began, apart = time.monotonic(), 0.0
        for one in found:
            values = {one.columns[0]: np.asarray(one.grid[0], dtype=float)}
            each = sklearn_dependence(
                theirs, frame[names], [one.columns[0]], custom_values=values, kind="average",
                method="brute", response_method="predict_proba",
            )  # fmt: skip
            apart = max(apart, float(np.abs(each["average"][0] - one.mean[:, 0]).max()))
        peer = time.monotonic() - began
        print(
            f"dependence of {options.columns} columns, {POINTS} values, {options.rows:,} rows: ours {ours:.1f} s, scikit-learn {peer:.1f} s, {peer / ours:.1f} times; largest difference {apart:.1e}"
        )

        shuffled = min(options.rows, SHUFFLED)
        began = time.monotonic()
        mine = permutation_importance(
            raw, graph, "label", metric="auc", features=names, repeats=1, rows=shuffled, seed=7, output="probability"
        )  # fmt: skip
        ours = time.monotonic() - began
        rows = sampled(raw, raw.columns, shuffled).to_pandas()
        began = time.monotonic()
        other = sklearn_importance(
            theirs, rows[names], rows["label"], scoring="roc_auc", n_repeats=1, random_state=7
        )
        peer = time.monotonic() - began
        apart = max(abs(mine.mean[n] - v) for n, v in zip(names, other["importances_mean"], strict=True))
        print(
            f"importance of {FEATURES} columns, one shuffle, {shuffled:,} rows: ours {ours:.1f} s, scikit-learn {peer:.1f} s, {peer / ours:.1f} times; largest difference {apart:.1e}"
        )
    busy.append(os.getloadavg()[0])
    print(f"load average {busy[0]:.1f} before and {busy[1]:.1f} after, on {os.cpu_count()} cores")
    spark.stop()


if __name__ == "__main__":
    main()
