"""Exact tree SHAP: rows a second of TreeExplainer and of LightGBM's own pred_contrib, one thread each, and their difference.

Run: python bench/explain/tree_shap.py [--rows 10000] [--trees 30] [--leaves 31 63 255] [--features 28]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import lightgbm as lgb
import numpy as np

COMPILE = """
import time; t = time.process_time()
import synml_dagster.explain.tree_shap.kernels as k; a = time.process_time() - t
import lightgbm as lgb, numpy as np
from synml_dagster.explain.tree_shap.explainer import TreeExplainer
X = np.random.default_rng(0).normal(size=(500, 5)); b = lgb.train({"verbose": -1}, lgb.Dataset(X, X[:, 0]), 2)
t = time.process_time(); TreeExplainer(b.model_to_string()).values(X); print(f"{a:.2f} {time.process_time() - t:.2f}")
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--trees", type=int, default=30)
    parser.add_argument("--leaves", type=int, nargs="+", default=[31, 63, 255])
    parser.add_argument("--features", type=int, default=28)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as cache:
        for what in ("cold", "cached"):
            run = subprocess.run(
                [sys.executable, "-c", COMPILE],
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
                check=True,
                capture_output=True,
                text=True,
            )
            imported, compiled = run.stdout.split()
            print(f"kernels {what}: import {imported} s, first use {compiled} s of processor time")

    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

    rng = np.random.default_rng(0)
    X = rng.normal(size=(options.rows, options.features)).astype(np.float32)
    X[:, 0] = rng.integers(0, 40, options.rows)
    X[rng.random(X.shape) < 0.05] = np.nan
    signal = np.nan_to_num(X)
    y = (
        signal[:, 1] + signal[:, 2] * signal[:, 3] + (signal[:, 0] % 3 == 0) + rng.normal(size=options.rows)
        > 0
    )
    few = X[: max(200, options.rows // 50)]
    print(
        f"{options.rows} rows x {options.features}, {options.trees} trees, LightGBM on {len(few)} of the rows"
    )
    print(
        f"{'leaves':>6} {'tables':>9} {'set up':>8} {'ours rows/s':>12} {'LightGBM rows/s':>16} {'times':>6} {'difference':>11}"
    )
    for leaves in options.leaves:
        params = {
            "objective": "binary",
            "num_leaves": leaves,
            "verbose": -1,
            "num_threads": 0,
            "min_data_in_leaf": 5,
        }
        booster = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[0]), num_boost_round=options.trees)
        text = booster.model_to_string()
        explainer = TreeExplainer(text)
        explainer.values(X[:10])
        start = time.perf_counter()
        TreeExplainer(text)
        ready = time.perf_counter() - start
        start = time.perf_counter()
        phi, _ = explainer.values(X)
        ours = options.rows / (time.perf_counter() - start)
        start = time.perf_counter()
        theirs = booster.predict(few, pred_contrib=True, num_threads=1)
        lightgbm = len(few) / (time.perf_counter() - start)
        difference = np.abs(phi[: len(few)] - theirs[:, :-1]).max()
        size = explainer._tables.nbytes / 1e6
        print(
            f"{leaves:>6} {size:>6.1f} MB {ready:>6.2f} s {ours:>12,.0f} {lightgbm:>16,.0f} {ours / lightgbm:>6.1f} {difference:>11.1e}"
        )


if __name__ == "__main__":
    main()
