"""Kernel SHAP: rows a second of processor time, and error of ours and of the shap package, on one thread at an equal budget of coalitions.

Run: python bench/explain/kernel_shap.py [--rows 5] [--features 20] [--background 100] [--budget 2088]
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import lightgbm as lgb
import numpy as np
import shap

from synml_dagster.explain.agnostic.games import MatrixGame
from synml_dagster.explain.agnostic.kernel_shap import shapley_values


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--background", type=int, default=100)
    parser.add_argument("--budget", type=int, default=2088)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    F = options.features
    X = rng.normal(size=(15_000, F))
    y = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + X[:, 3:8].sum(1)
    booster = lgb.train({"verbose": -1, "num_threads": 1}, lgb.Dataset(X, y), 50)
    W1, W2 = rng.normal(size=(F, 32)) / F**0.5, rng.normal(size=32)
    models = {
        "linear (the method alone)": lambda rows: rows @ W2[:F] if F <= 32 else rows.sum(1),
        "network, 32 hidden": lambda rows: np.tanh(rows @ W1) @ W2,
        "LightGBM, 50 trees": lambda rows: booster.predict(rows, num_threads=1),
    }
    background, rows = X[: options.background], X[1000 : 1000 + options.rows]
    weight = np.full(len(background), 1 / len(background))
    for name, model in models.items():
        best = {"ours": np.inf, "shap": np.inf}
        for _ in range(2):
            began = time.process_time()
            ours = np.array(
                [
                    shapley_values(MatrixGame(model, row, background, weight), budget=options.budget).values[
                        :, 0
                    ]
                    for row in rows
                ]
            )
            best["ours"] = min(best["ours"], time.process_time() - began)
            began = time.process_time()
            explainer = shap.KernelExplainer(model, background)
            theirs = explainer.shap_values(rows, nsamples=options.budget, l1_reg=0, silent=True)
            best["shap"] = min(best["shap"], time.process_time() - began)
        began = time.process_time()
        model(np.repeat(background, options.budget, axis=0))
        alone = (time.process_time() - began) * len(rows)
        print(
            f"{name}: ours {len(rows) / best['ours']:.2f} rows/s, shap {len(rows) / best['shap']:.2f} rows/s: "
            f"{best['shap'] / best['ours']:.1f} times; the model alone takes {alone / best['ours']:.0%} of our time; "
            f"largest difference {np.abs(ours - theirs).max():.2g}"
        )

    few = rng.normal(size=(30, 12))
    W = rng.normal(size=(12, 10))
    games = [
        MatrixGame(lambda r: np.tanh(r @ W).sum(1), row, few[:20], np.full(20, 0.05)) for row in few[20:]
    ]
    exact = np.array([shapley_values(g).values[:, 0] for g in games])
    from synml_dagster.explain.agnostic import coalitions

    coalitions.MOST_EXACT = 1
    coalitions.coalitions.cache_clear()
    errors: dict[str, list[float]] = {"ours": [], "shap": []}
    for seed in range(10):
        ours = np.array([shapley_values(g, budget=300, seed=seed).values[:, 0] for g in games])
        np.random.seed(seed)
        explainer = shap.KernelExplainer(lambda r: np.tanh(r @ W).sum(1), few[:20])
        theirs = explainer.shap_values(few[20:], nsamples=300, l1_reg=0, silent=True)
        errors["ours"].append(float(np.abs(ours - exact).mean()))
        errors["shap"].append(float(np.abs(theirs - exact).mean()))
    ratio = np.mean(errors["ours"]) / np.mean(errors["shap"])
    print(f"12 features, 300 coalitions, 10 seeds: mean error {ratio:.2f} times shap's")


if __name__ == "__main__":
    main()
