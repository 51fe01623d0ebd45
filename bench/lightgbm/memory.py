"""Peak anonymous memory of a rank against LightGBM alone fed from a memory-mapped Arrow file, on the same rows.

`python -m bench.lightgbm.memory --rows 4000000` prints one JSON line, in MiB. Each side is a process of its own, looked
at every 20 ms; a rank is the Python process that Spark started for it. LightGBM alone runs twice: as it chooses between
histograms by columns and by rows, which it does by timing both, and by rows as a rank always does (faster, and the same
each time, but a second copy of the bins).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

from bench.lightgbm.made import FEATURES, make_table

NAMES = [f"f{i}" for i in range(FEATURES)]
PARAMS = {"objective": "binary", "num_leaves": 31, "verbosity": -1}


def anonymous(pid: int) -> int:
    """Return RssAnon in KiB."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def below(pid: int) -> list[int]:
    """Return the Python processes that descend from `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += [c for c in level if "python" in _name(c)]
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Peak(threading.Thread):
    """Follows the greatest anonymous memory of some processes."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.peak, self.over = pids, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.peak = max([self.peak, *(anonymous(pid) for pid in self.pids())])


def alone_by_rows(path: str, rounds: int) -> None:
    """LightGBM as a rank runs it."""
    alone(path, rounds, force_row_wise=True)


def alone(path: str, rounds: int, **more) -> None:
    """LightGBM fed from a memory-mapped Arrow file."""
    import lightgbm as lgb
    import pyarrow as pa
    import pyarrow.parquet as pq

    spool = path + ".arrow"
    if not os.path.exists(spool):
        file = pq.ParquetFile(path)
        with pa.ipc.new_file(spool, file.schema_arrow) as out:
            for batch in file.iter_batches(65536):
                out.write_batch(batch)
    with pa.memory_map(spool) as source:
        table = pa.ipc.open_file(source).read_all()
        params = {**PARAMS, **more}
        data = lgb.Dataset(table.select(NAMES), label=table["label"], params=params)
        lgb.train(params, data, num_boost_round=rounds)


def on_spark(path: str, rounds: int) -> None:
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm import LightGBM
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master=f"local[{os.cpu_count()}]"))
    LightGBM({"objective": "binary", "num_leaves": 31}, rounds=rounds).fit(
        ParquetFiles((path,)), spark=spark, label="label", features=NAMES
    )
    spark.stop()


def measured(target, path: Path, rounds: int, ranks_only: bool) -> float:
    process = multiprocessing.get_context("spawn").Process(target=target, args=(str(path), rounds))
    process.start()
    peak = Peak(lambda: below(process.pid) if ranks_only else [process.pid])
    peak.start()
    process.join()
    peak.over.set()
    time.sleep(0.1)
    if process.exitcode:
        raise SystemExit(f"{target.__name__} ended with {process.exitcode}")
    return round(peak.peak / 1024, 1)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=4_000_000)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "synml-bench"))
    given = arguments.parse_args()
    path = make_table(Path(given.folder) / f"train-{given.rows}.parquet", given.rows)
    measured(alone, path, 1, False)  # writes the Arrow file
    free, by_rows = (measured(side, path, given.rounds, False) for side in (alone, alone_by_rows))
    rank = measured(on_spark, path, given.rounds, True)
    told = {"rows": given.rows, "alone_mib": free, "alone_by_rows_mib": by_rows, "rank_mib": rank}
    print(json.dumps({**told, "ratio": round(rank / free, 3), "ratio_by_rows": round(rank / by_rows, 3)}))


if __name__ == "__main__":
    main()
