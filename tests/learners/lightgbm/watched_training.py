"""A training in a driver process of its own, slowed down so that a test can kill what takes part in it.

`python -m tests.learners.lightgbm.watched_training FOLDER KIND ADDRESS RANKS ROUNDS PAUSE CHECKPOINT TROUBLE` trains on
FOLDER/table and writes FOLDER/result.json. Every rank notes its process in FOLDER/ranks and its rounds in FOLDER/rounds.
TROUBLE "slow construction" lets the last rank's first attempt wait while it fills its dataset, its process noted in
FOLDER/builds; "stolen port" binds the port that its first attempt gave back for LightGBM.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from functools import partial
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


def troubled_rank(folder, trouble, job, member, batches):
    """The work of a rank, with one function of its own wrapped in the first attempt of the last rank."""
    from synml_dagster.learners.lightgbm.worker import native
    from synml_dagster.learners.lightgbm.worker.rank import run_rank

    mark = Path(folder) / "builds"
    if member.rank != member.size - 1 or mark.exists():
        yield from run_rank(job, member, batches)
        return
    push_rows, join_network = native.push_rows, native.join_network

    def push_slowly(*arguments):
        mark.write_text(str(os.getpid()))
        time.sleep(60)
        return push_rows(*arguments)

    def join_too_late(machines, port, minutes):
        mark.touch()
        with socket.socket() as thief:
            thief.bind(("0.0.0.0", port))
            thief.listen()
            join_network(machines, port, minutes)

    if trouble == "stolen port":
        native.join_network = join_too_late
    else:
        native.push_rows = push_slowly
    try:
        yield from run_rank(job, member, batches)
    finally:
        native.push_rows, native.join_network = push_rows, join_network


def main(
    folder: str,
    kind: str,
    address: str,
    ranks: str,
    rounds: str,
    pause: str,
    checkpoint: str = "",
    trouble: str = "",
) -> None:
    from synml_dagster.errors import SynmlError
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm import LightGBM, trainer
    from synml_dagster.spark import SparkSettings, open_session
    from tests.cluster import CONF

    began = time.monotonic()
    if kind == "connect":
        spark = open_session(SparkSettings(remote=address))
    else:
        conf = {} if address.startswith("local") else CONF
        spark = open_session(SparkSettings(master=address, conf=conf))
    opened = time.monotonic()
    files = ParquetFiles(tuple(sorted(str(p) for p in (Path(folder) / "table").glob("*.parquet"))))
    features = [name for name in files.schema().names if name.startswith("x")]
    if trouble:
        from tests.learners.lightgbm.watched_training import troubled_rank as imported

        trainer.run_rank = partial(imported, folder, trouble)
    training = LightGBM(
        {"objective": "binary", "metric": "auc", "num_leaves": 7},
        rounds=int(rounds),
        ranks=int(ranks) or None,
        checkpoint=checkpoint or None,
        checkpoint_seconds=0.2,
        silence=6,
        callbacks=[NoteRound(folder, float(pause)), NoteLead(folder)],
    )
    try:
        model = training.fit(files, spark=spark, label="label", features=features, validation=files)
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
