"""A training in a driver process of its own, slowed down so that a test can kill what takes part in it.

`python -m tests.lightgbm.watched_training FOLDER KIND ADDRESS RANKS ROUNDS PAUSE [CHECKPOINT]` trains on
FOLDER/table and writes FOLDER/result.json. Every rank notes its process in FOLDER/ranks and its rounds in FOLDER/rounds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


class NoteRound:
    """A LightGBM callback that runs on every rank before each round."""

    before_iteration = True
    order = 0

    def __init__(self, folder: str, pause: float):
        self.folder, self.pause = folder, pause

    def __call__(self, env):
        marks = Path(self.folder) / "ranks"
        marks.mkdir(exist_ok=True)
        (marks / str(os.getpid())).touch()
        with (Path(self.folder) / "rounds").open("a") as out:
            out.write(f"{os.getpid()} {env.iteration}\n")
        time.sleep(self.pause)


class NoteLead:
    """A LightGBM callback that runs on rank 0 alone, after each round."""

    before_iteration = False
    order = 0

    def __init__(self, folder: str):
        self.folder = folder

    def __call__(self, env):
        (Path(self.folder) / "lead").write_text(str(os.getpid()))


def main(
    folder: str, kind: str, address: str, ranks: str, rounds: str, pause: str, checkpoint: str = ""
) -> None:
    from synml_dagster.errors import SynmlError
    from synml_dagster.lightgbm import LightGBM
    from synml_dagster.spark import SparkSettings, open_session
    from synml_dagster.spark.shares import ParquetFiles
    from tests.cluster import CONF

    began = time.monotonic()
    if kind == "connect":
        from pyspark.sql.connect.session import SparkSession

        spark = SparkSession.builder.remote(address).create()
    else:
        conf = {} if address.startswith("local") else CONF
        spark = open_session(SparkSettings(master=address, conf=conf))
    opened = time.monotonic()
    files = ParquetFiles(tuple(sorted(str(p) for p in (Path(folder) / "table").glob("*.parquet"))))
    features = [name for name in files.schema().names if name.startswith("x")]
    trainer = LightGBM(
        {"objective": "binary", "metric": "auc", "num_leaves": 7},
        rounds=int(rounds),
        ranks=int(ranks) or None,
        checkpoint=checkpoint or None,
        checkpoint_seconds=0.2,
        silence=6,
        callbacks=[NoteRound(folder, float(pause)), NoteLead(folder)],
    )
    try:
        model = trainer.fit(files, spark=spark, label="label", features=features, validation=files)
        model.save(Path(folder) / "model")
        told = {"iterations": model.iterations, "auc": model.history["validation"]["auc"]}
    except SynmlError as problem:
        told = {"error": str(problem), "kind": type(problem).__name__}
    told["seconds"] = time.monotonic() - opened
    told["opened"] = opened - began
    (Path(folder) / "result.part").write_text(json.dumps(told))
    os.replace(Path(folder) / "result.part", Path(folder) / "result.json")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
