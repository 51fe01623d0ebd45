"""What explaining every row costs beside scoring it: two tables written by Spark tasks from the same Parquet files.

Run: python bench/explain/contributions.py [--rows 300000] [--trees 100] [--leaves 31] [--features 28] [--tasks 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--features", type=int, default=28)
    parser.add_argument("--tasks", type=int, default=2)
    options = parser.parse_args()

    from synml_dagster.explain import contributions_of
    from synml_dagster.export import export_pipeline
    from synml_dagster.features import FeatureSpec, fit_plan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm import LightGBMModel
    from synml_dagster.onnx import OnnxModel, score_files
    from synml_dagster.spark import SparkSettings, open_session
    from synml_dagster.tables import publish_files

    rng = np.random.default_rng(0)
    X = rng.normal(size=(options.rows, options.features)).astype(np.float32)
    y = X[:, 1] + X[:, 2] * X[:, 3] + rng.normal(size=len(X)) > 0
    table = pa.table({f"x{i}": X[:, i] for i in range(options.features)} | {"y": y, "id": np.arange(len(X))})
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i in range(options.tasks):
            part = slice(i * len(X) // options.tasks, (i + 1) * len(X) // options.tasks)
            paths.append(f"{folder}/{i}.parquet")
            pq.write_table(table.slice(part.start, part.stop - part.start), paths[-1])
        spark = open_session(SparkSettings(master=f"local[{options.tasks}]"))
        try:
            plan = fit_plan(
                spark.createDataFrame(table.slice(0, 5_000)),
                name="bench",
                label="y",
                task="binary",
                features=FeatureSpec(exclude=["id"]),
            )
            params = {"objective": "binary", "num_leaves": options.leaves, "verbose": -1}
            few = slice(0, 50_000)
            booster = lgb.train(params, lgb.Dataset(X[few], y[few]), options.trees)
            trained = LightGBMModel(booster.model_to_string(), plan.feature_names, objective="binary")
            graph = OnnxModel(export_pipeline(plan, trained))
            files = ParquetFiles(tuple(paths))
            why = contributions_of(graph, trained, plan)
            stamped = {"constants": {"scored_at": datetime.now(UTC)}, "keep": ["id"]}
            ways: dict[str, dict[str, Any]] = {
                "score": {},
                "score and explain": {"outputs": why.outputs, "further": why},
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(3):
                for name, more in ways.items():
                    start = time.perf_counter()
                    made = score_files(spark, files, graph, **stamped, **more)
                    assert made is not None
                    published = publish_files(spark, made, f"{folder}/{name}")
                    assert published.rows == options.rows
                    seconds[name].append(time.perf_counter() - start)
            found = published.dataframe(spark).toPandas()
            sums = (
                found[[f"contribution_x{i}" for i in range(options.features)]].sum(axis=1)
                + found["base_value"]
            )
            raw = booster.predict(X[found["id"]], raw_score=True)
        finally:
            spark.stop()
    print(
        f"{options.rows:,} rows x {options.features}, {options.trees} trees of {options.leaves} leaves, {options.tasks} tasks"
    )
    for name, took in seconds.items():
        print(f"{name}: {' '.join(f'{s:.1f}' for s in took)} s")
    best = {name: min(took) for name, took in seconds.items()}
    print(
        f"explaining costs {best['score and explain'] / best['score']:.1f} times scoring; base and contributions are off the raw score by {np.abs(sums - raw).max():.1e}"
    )


if __name__ == "__main__":
    main()
