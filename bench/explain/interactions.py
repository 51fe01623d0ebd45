"""Interaction values and values against background rows: TreeExplainer and the shap package, one thread each, processor time.

Run: python bench/explain/interactions.py [--rows 2000] [--trees 100] [--leaves 31 255] [--features 28] [--background 100]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--theirs", type=int, default=20, help="rows that shap explains")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--leaves", type=int, nargs="+", default=[31, 255])
    parser.add_argument("--features", type=int, default=28)
    parser.add_argument("--background", type=int, default=100)
    options = parser.parse_args()

    import shap

    from synml_dagster.explain import TreeExplainer

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, options.features)).astype(np.float32)
    X[rng.random(X.shape) < 0.05] = np.nan
    signal = np.nan_to_num(X)
    y = signal[:, 1] + signal[:, 2] * signal[:, 3] + rng.normal(size=len(X)) > 0
    mine, few = X[: options.rows], X[: options.theirs]
    print(
        f"{options.features} features, {options.trees} trees, background {options.background} rows; rows a second of processor time"
    )
    print(
        f"{'leaves':>6} {'what':>15} {'set up':>8} {'ours':>10} {'shap':>8} {'times':>8} {'difference':>11}"
    )
    for leaves in options.leaves:
        params = {
            "objective": "binary",
            "num_leaves": leaves,
            "verbose": -1,
            "num_threads": 1,
            "min_data_in_leaf": 5,
        }
        booster = lgb.train(params, lgb.Dataset(X, y), num_boost_round=options.trees)
        text = booster.model_to_string()
        others = X[-options.background :]

        TreeExplainer(text).interaction_values(X[:10])  # compiles
        TreeExplainer(text, background=others).values(X[:10])

        def interactions(text: str = text) -> TreeExplainer:
            made = TreeExplainer(text)
            made.interaction_values(X[:1])  # makes the tables of pairs
            return made

        def against(text: str = text, others: np.ndarray = others) -> TreeExplainer:
            return TreeExplainer(text, background=others)

        theirs = shap.TreeExplainer(booster)
        to_rows = shap.TreeExplainer(
            booster, others.astype(np.float64), feature_perturbation="interventional"
        )
        for what, make, ours, compared in (
            ("interactions", interactions, "interaction_values", theirs.shap_interaction_values),
            (
                "interventional",
                against,
                "values",
                lambda rows, e=to_rows: e.shap_values(rows.astype(np.float64)),
            ),
        ):
            ready, explainer = seconds(make)
            took, found = seconds(lambda e=explainer, name=ours: getattr(e, name)(mine))
            theirs_took, expected = seconds(lambda c=compared: c(few))
            values = found if ours == "interaction_values" else found[0]
            difference = np.abs(values[: len(few)] - np.asarray(expected)).max()
            mine_rate, their_rate = len(mine) / took, len(few) / theirs_took
            print(
                f"{leaves:>6} {what:>15} {ready:>6.2f} s {mine_rate:>10,.0f} {their_rate:>8,.1f} {mine_rate / their_rate:>8,.0f} {difference:>11.1e}"
            )


if __name__ == "__main__":
    main()
