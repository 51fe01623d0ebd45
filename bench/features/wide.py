"""Times each step of feature assembly of a wide table beside Spark's bare copy of it, in one Spark session.

python bench/features/wide.py --rows 20000 --columns 5000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synml_dagster.features import assemble, assemble_files, fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import publish_files

PARTS = 4


def wide_part(rows: int, columns: int, seed: int) -> pa.Table:
    """Seven tenths float32, one tenth whole numbers, two tenths words; a tenth of a tenth missing."""
    rng = np.random.default_rng(seed)
    made: dict[str, pa.Array] = {}
    for i in range(columns - 1):
        if i % 10 < 7:
            values = rng.standard_normal(rows, dtype=np.float32)
            made[f"x{i}"] = pa.array(values, mask=rng.random(rows) < 0.1 if i % 10 == 0 else None)
        elif i % 10 == 7:
            made[f"n{i}"] = pa.array(rng.integers(0, 1000, rows))
        else:
            words = np.array([f"word {k}" for k in range(3 if i % 10 == 8 else 20)], dtype=object)
            made[f"w{i}"] = pa.array(words[rng.integers(0, len(words), rows)])
    signal = made["x1"].to_numpy() + made["x2"].to_numpy() + rng.normal(0, 0.3, rows)
    return pa.table(made | {"label": pa.array(np.where(signal > 0, "good", "bad").tolist())})


def timed(what: str, run: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    out = run()
    print(f"{what:34s} {time.perf_counter() - start:7.1f} s", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=5_000)
    parser.add_argument("--plan-only", action="store_true", help="leave out the copy and assemble")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"part-{i}.parquet") for i in range(PARTS)]
        for i, path in enumerate(paths):
            pq.write_table(wide_part(said.rows // PARTS, said.columns, i), path)
        spark = open_session(SparkSettings(master="local[2]"))
        files = ParquetFiles(tuple(paths))
        print(f"{said.rows} rows, {said.columns} columns")
        for turn in ("", ", again"):
            plan = timed(
                f"fit_plan from files{turn}", lambda: fit_plan(files, name="wide", label="label", spark=spark)
            )
        if not said.plan_only:
            df = files.dataframe(spark)
            named = ParquetFiles(files.paths, schema_json=df.schema.json())
            timed("Spark's bare copy", lambda: df.write.parquet(f"{folder}/copy"))
            timed("copy by tasks", lambda: publish_files(spark, named, f"{folder}/tasks-copy"))
            timed("assemble, write", lambda: assemble(df, plan).write.parquet(f"{folder}/made"))
            made = timed("assemble_files", lambda: assemble_files(spark, files, plan))
            timed("write by tasks", lambda: publish_files(spark, made, f"{folder}/tasks-made"))
        spark.stop()


if __name__ == "__main__":
    main()
