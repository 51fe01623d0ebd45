"""Balance of a table: its one pass over five sensitive columns and a label, against one bare aggregate over the same columns.

Run: python bench/balance/run.py [--rows 10000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUPS = {"sex": 2, "race": 6, "region": 12, "age": 5, "married": 3}


def write(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    for part in range(8):
        n = rows // 8
        columns = {
            name: pa.DictionaryArray.from_arrays(
                rng.integers(0, k, n, dtype=np.int32), [f"{name} {i}" for i in range(k)]
            ).cast(pa.string())
            for name, k in GROUPS.items()
        }
        columns["label"] = pa.array((rng.random(n) < 0.3).astype(np.int32))
        pq.write_table(pa.table(columns), folder / f"{part}.parquet")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from pyspark.sql import functions as sf

    from synml_dagster.balance import data_balance
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[2]"))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows)
        frame = spark.read.parquet(folder)

        def bare() -> None:
            frame.agg(*(sf.max(c) for c in frame.columns), sf.count(sf.lit(1))).collect()

        def grouped() -> None:
            frame.groupBy(*frame.columns).count().collect()

        def balance() -> None:
            data_balance(frame, [*GROUPS], label="label")

        took: dict[str, list[float]] = {"bare": [], "grouped": [], "balance": []}
        for round_ in range(options.rounds + 1):
            for name, run in (("bare", bare), ("grouped", grouped), ("balance", balance)):
                began = time.monotonic()
                run()
                if round_:  # the first one warms the session
                    took[name].append(time.monotonic() - began)
    best = {name: min(times) for name, times in took.items()}
    print(
        f"{options.rows:,} rows, {len(GROUPS)} columns: bare aggregate {best['bare']:.2f} s, "
        f"bare grouped count {best['grouped']:.2f} s, balance {best['balance']:.2f} s: "
        f"{best['balance'] / best['bare']:.2f} times the aggregate, {best['balance'] / best['grouped']:.2f} times the count"
    )
    spark.stop()


if __name__ == "__main__":
    main()
