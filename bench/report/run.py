"""The model card of a million test rows: what measuring and drawing it takes beside the SHAP values that it shows.

Run: python bench/report/run.py [--rows 1000000] [--explained 2000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

COLUMNS, TRAINED = 12, 50_000


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=rows).astype(np.float32) for i in range(COLUMNS - 2)})
    frame["region"] = rng.choice(["north", "south", "east", "west"], rows)
    frame["kind"] = rng.choice([f"kind {i}" for i in range(20)], rows)
    score = frame["x0"] + frame["x1"] * frame["x2"] + (frame["region"] == "north") - 1
    frame["label"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    return frame


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--explained", type=int, default=2_000)
    options = parser.parse_args()

    from pyspark.sql import functions as sf

    from synml_dagster.balance import worst_slices
    from synml_dagster.evaluation import Costs, choose_threshold, evaluate
    from synml_dagster.explain import explain
    from synml_dagster.features import LABEL, assemble, fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel
    from synml_dagster.report import ReportInputs, render_markdown, render_report
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[2]"))
    took: dict[str, float] = {}
    busy = [os.getloadavg()[0]]

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        made = work()
        took[name] = took.get(name, 0.0) + time.monotonic() - began
        return made

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        table(options.rows).to_parquet(path)
        raw = spark.read.parquet(path)
        plan = fit_plan(raw, name="bench", label="label")
        kept = [f"cut_{c.name}" for c in plan.columns]
        cut = raw.select("*", *(sf.col(c.name).alias(k) for c, k in zip(plan.columns, kept, strict=True)))
        made = str(Path(folder) / "features.parquet")
        assemble(cut, plan, keep=kept).write.parquet(made)
        features = spark.read.parquet(made)
        part = features.limit(TRAINED).toPandas()
        names = plan.feature_names
        X = lgb.Dataset(part[names].to_numpy(np.float32), part[LABEL])
        booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 2}, X, 100)
        model = LightGBMModel(
            text=booster.model_to_string(), features=names, objective="binary", params={"objective": "binary"}
        )
        scored = model.transform(features, keep=[LABEL, *kept], spark=spark).persist()
        timed("scoring the rows", scored.count)
        costs = Costs(false_positive=1, false_negative=5)
        chosen = timed("threshold", lambda: choose_threshold(scored.sample(0.3, seed=0), costs))
        found = timed(
            "metrics, intervals, curves",
            lambda: evaluate(scored, task="binary", label=LABEL, classes=["no", "yes"], chosen=chosen),
        )
        answers = scored.withColumn(LABEL, sf.col(LABEL).cast("int"))
        found.slices = timed("weak spots", lambda: worst_slices(answers, kept, task="classes", label=LABEL))
        reasons = timed("SHAP values", lambda: explain(features, model, plan, rows=options.explained))
        about = ReportInputs(name="bench", plan=plan, evaluation=found, model=model, explanations=reasons)
        page = timed("page", lambda: render_report(about))
        timed("Markdown", lambda: render_markdown(about))
        busy.append(os.getloadavg()[0])
    spark.stop()
    beyond = sum(seconds for name, seconds in took.items() if name not in ("SHAP values", "scoring the rows"))
    for name, seconds in took.items():
        print(f"{name:30} {seconds:7.2f} s")
    print(
        f"{options.rows:,} rows, page of {len(page) / 1e6:.1f} MB: {beyond:.1f} s beyond scoring and the SHAP values of {options.explained:,} rows, "
        f"{beyond / took['scoring the rows']:.1f} times scoring the rows once"
    )
    # What else the machine did is in every figure: seconds of a busy one are no seconds of a quiet one, the ratio says more.
    print(f"load average {busy[0]:.1f} before and {busy[1]:.1f} after, on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
