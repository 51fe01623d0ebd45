"""A table of ten thousand columns: one rank and two, from files that ranks read and through Spark's rows.

`python -m bench.lightgbm.wide --rows 10000 --features 10000` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.spark import SparkSettings, open_session


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=10_000)
    arguments.add_argument("--features", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=20)
    given = arguments.parse_args()
    names = [f"x{i}" for i in range(given.features)]
    with tempfile.TemporaryDirectory() as folder:
        files = _made(Path(folder), given.rows, names)
        spark = open_session(SparkSettings(master="local[2]"))
        spark.range(10).count()
        told = {}
        for way, data in (("files", files), ("rows", files.dataframe(spark))):
            for ranks in (1, 2):
                trainer = LightGBM({"objective": "binary"}, rounds=given.rounds, ranks=ranks, timeout=1800)
                began = time.perf_counter()
                model = trainer.fit(data, spark=spark, label="label", features=names)
                seconds = round(time.perf_counter() - began, 1)
                told[f"{way}, {ranks}"] = {"fit": seconds, **model.facts["seconds"]}
        spark.stop()
    print(json.dumps({"rows": given.rows, "features": given.features, "rounds": given.rounds, **told}))


def _made(folder: Path, rows: int, names: list[str]) -> ParquetFiles:
    paths = []
    for part in range(2):
        rng = np.random.default_rng(part)
        X = rng.standard_normal((rows // 2, len(names))).astype(np.float32)
        label = (X[:, 0] + X[:, 1] + rng.standard_normal(len(X)) > 0).astype(float)
        table = pa.table([*(pa.array(column) for column in X.T), pa.array(label)], names=[*names, "label"])
        paths.append(str(folder / f"part-{part}.parquet"))
        pq.write_table(table, paths[-1])
    return ParquetFiles(tuple(paths))


if __name__ == "__main__":
    main()
