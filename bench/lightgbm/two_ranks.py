"""Two one-core executors of a standalone cluster against one, on the same file: how much faster is the training?

`python -m bench.lightgbm.two_ranks --rows 4000000` prints one JSON line. `boosted` is the time of the rounds alone, as
rank 0 measures it; `fit` is the whole call. Each side has a cluster of its own, one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.lightgbm.made import FEATURES, make_table
from tests.cluster import CONF, standalone_cluster

NAMES = [f"f{i}" for i in range(FEATURES)]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=4_000_000)
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "synml-bench"))
    given = arguments.parse_args()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the executors are on this host
    path = make_table(Path(given.folder) / f"train-{given.rows}.parquet", given.rows)
    told = {}
    for ranks in (1, 2):
        with standalone_cluster(workers=ranks, cores=1) as cluster:
            command = [sys.executable, "-m", "bench.lightgbm.two_ranks_driver", cluster.master, str(path)]
            command += [str(ranks), str(given.rounds), str(given.repeats)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            told[ranks] = json.loads(out.strip().splitlines()[-1])
    ratio = {
        stage: round(statistics.median(told[1][stage]) / statistics.median(told[2][stage]), 3)
        for stage in ("boosted", "fit")
    }
    print(json.dumps({"rows": given.rows, "one": told[1], "two": told[2], "times_as_fast": ratio}))


def drive(master: str, path: str, ranks: str, rounds: str, repeats: str) -> None:
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm import LightGBM
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master=master, conf=CONF))
    params = {"objective": "binary", "num_leaves": 31}
    told: dict[str, list[float]] = {"boosted": [], "binned": [], "fit": []}
    for i in range(int(repeats) + 1):
        trainer = LightGBM(params, rounds=int(rounds) if i else 2, ranks=int(ranks), threads=1)
        began = time.perf_counter()
        model = trainer.fit(ParquetFiles((path,)), spark=spark, label="label", features=NAMES)
        if i:  # the first one warms up
            told["fit"].append(round(time.perf_counter() - began, 2))
            for stage in ("boosted", "binned"):
                told[stage].append(round(model.facts["seconds"][stage], 2))
    print(json.dumps(told))
    spark.stop()


if __name__ == "__main__":
    main()
