"""Partial dependence with single curves, and permutation importance, beside scikit-learn's over the same model and rows.

Run: python bench/explain/effects.py [--rows 1000000] [--columns 3] [--repeats 5] [--leaves 31] [--only dependence]
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


class Cost:
    """Seconds, and processor seconds of this process and all that it has started: what others do on the machine counts in the first alone."""

    def __enter__(self) -> Cost:
        self.wall, self.processor = -time.monotonic(), -_processor_seconds()
        return self

    def __exit__(self, *failed: object) -> None:
        self.wall += time.monotonic()
        self.processor += _processor_seconds()

    def beside(self, peer: Cost) -> str:
        return (
            f"ours {self.wall:.1f} s ({self.processor:.1f} of processors), scikit-learn {peer.wall:.1f} s ({peer.processor:.1f}), "
            f"{peer.wall / self.wall:.1f} times ({peer.processor / self.processor:.1f})"
        )


def _processor_seconds() -> float:
    parents, used = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(told[1])
        used[int(folder.name)] = sum(map(int, told[11:15]))  # user and system, of ended children too
    found, waiting = 0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        found += used.get(process, 0)
        waiting += [child for child, parent in parents.items() if parent == process]
    return found / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--only", choices=["dependence", "importance"])
    options = parser.parse_args()

    from synml_dagster.explain.effects import partial_dependence, permutation_importance
    from synml_dagster.explain.effects.grid import sampled
    from synml_dagster.explain.effects.permutation import MOST_ROWS
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
        booster = lgb.train({"objective": "binary", "verbose": -1, "num_leaves": options.leaves}, data, 100)
        told = {"features": names, "objective": "binary", "params": {"objective": "binary"}}
        graph = OnnxModel(export_pipeline(plan, LightGBMModel(text=booster.model_to_string(), **told)))
        asked, theirs = names[: options.columns], Booster(booster)
        partial_dependence(raw.limit(100), graph, asked[:1], points=POINTS)  # Python workers start

        if options.only != "importance":
            with Cost() as ours:
                found = partial_dependence(raw, graph, asked, points=POINTS, curves=100, output="probability")
            apart = 0.0
            with Cost() as peer:
                for one in found:
                    values = {one.columns[0]: np.asarray(one.grid[0], dtype=float)}
                    each = sklearn_dependence(
                        theirs, frame[names], [one.columns[0]], custom_values=values, kind="average",
                        method="brute", response_method="predict_proba",
                    )  # fmt: skip
                    apart = max(apart, float(np.abs(each["average"][0] - one.mean[:, 0]).max()))
            print(
                f"dependence of {options.columns} columns, {POINTS} values, {options.rows:,} rows: {ours.beside(peer)}; largest difference {apart:.1e}"
            )
        if options.only != "dependence":
            shuffled = min(options.rows, MOST_ROWS)
            with Cost() as ours:
                mine = permutation_importance(
                    raw, graph, "label", metric="auc", features=names, repeats=options.repeats, rows=shuffled, seed=7, output="probability"
                )  # fmt: skip
            rows = sampled(raw, raw.columns, shuffled, options.rows).to_pandas()
            with Cost() as peer:
                other = sklearn_importance(
                    theirs,
                    rows[names],
                    rows["label"],
                    scoring="roc_auc",
                    n_repeats=options.repeats,
                    random_state=7,
                )
            apart = max(abs(mine.mean[n] - v) for n, v in zip(names, other["importances_mean"], strict=True))
            print(
                f"importance of {FEATURES} columns, {options.repeats} shuffles, {shuffled:,} rows: {ours.beside(peer)}; largest difference {apart:.1e}"
            )
    busy.append(os.getloadavg()[0])
    print(f"load average {busy[0]:.1f} before and {busy[1]:.1f} after, on {os.cpu_count()} cores")
    spark.stop()


if __name__ == "__main__":
    main()
