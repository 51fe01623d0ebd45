"""From Parquet to model: one rank on Spark against plain LightGBM in this process, on the same file and cores.

`python -m bench.lightgbm.one_rank --rows 1000000 --repeats 3 [--fast]` prints one JSON line; `--fast` adds the fast preset as
a third side. The sides take turns, so that what else the machine does falls on all; ratios are those of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from bench.lightgbm.made import FEATURES, make_table
from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.spark import SparkSettings, open_session

NAMES = [f"f{i}" for i in range(FEATURES)]


def plain(path: Path, params: dict, rounds: int) -> tuple[float, lgb.Booster]:
    """Read with pyarrow, construct and train, as a careful user of LightGBM's Python package does."""
    began = time.perf_counter()
    table = pq.read_table(path)
    X = np.empty((table.num_rows, FEATURES), np.float32)
    for i, name in enumerate(NAMES):
        X[:, i] = table[name].to_numpy()
    label = table["label"].to_numpy()
    del table
    booster = lgb.train({**params, "verbosity": -1}, lgb.Dataset(X, label=label), num_boost_round=rounds)
    return time.perf_counter() - began, booster


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--cores", type=int, default=os.cpu_count())
    arguments.add_argument("--fast", action="store_true", help="the fast preset as well")
    arguments.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "synml-bench"))
    given = arguments.parse_args()
    path = make_table(Path(given.folder) / f"train-{given.rows}.parquet", given.rows)
    test = pq.read_table(make_table(Path(given.folder) / "test.parquet", 200_000, seed=0))
    X = np.column_stack([test[name].to_numpy() for name in NAMES])
    label = test["label"].to_numpy()
    spark = open_session(SparkSettings(master=f"local[{given.cores}]"))
    params = {"objective": "binary", "num_leaves": 31}
    presets = {"ours": None, "fast": "fast"} if given.fast else {"ours": None}
    small = make_table(Path(given.folder) / "warm.parquet", 1000)
    LightGBM(params, rounds=2).fit(ParquetFiles((str(small),)), spark=spark, label="label", features=NAMES)
    same = {"num_threads": given.cores, "force_row_wise": True, "deterministic": True}
    seconds: dict[str, list[float]] = {side: [] for side in ("plain", *presets)}
    auc: dict[str, float] = {}
    stages = {}
    for _ in range(given.repeats):
        took, booster = plain(path, {**params, **same}, given.rounds)
        seconds["plain"].append(took)
        auc["plain"] = roc_auc_score(label, booster.predict(X))
        for side, preset in presets.items():
            trainer = LightGBM(params, rounds=given.rounds, threads=given.cores, preset=preset)
            began = time.perf_counter()
            model = trainer.fit(ParquetFiles((str(path),)), spark=spark, label="label", features=NAMES)
            seconds[side].append(time.perf_counter() - began)
            auc[side] = roc_auc_score(label, model.predict(X))
            stages[side] = model.facts["seconds"]
    median = {side: statistics.median(values) for side, values in seconds.items()}
    found = {
        "rows": given.rows,
        "cores": given.cores,
        "seconds": {side: [round(s, 2) for s in values] for side, values in seconds.items()},
        "ours_of_plain": round(median["ours"] / median["plain"], 3),
        "auc": {side: round(value, 5) for side, value in auc.items()},
        "stages": stages,
    }
    if given.fast:
        found["fast_times_as_fast"] = round(median["ours"] / median["fast"], 3)
    print(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main()
