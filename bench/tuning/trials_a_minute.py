"""Trials a minute on one table and one list of parameters, and the memory of their Python: ours, and plain Optuna with a thread a core and one a model.

python bench/tuning/trials_a_minute.py --rows 200000 --columns 28 --trials 12

Memory is the largest sum of proportional sets (PSS, what is shared counts once): of ours, Spark's Python workers; of plain Optuna, this process, less
what it held before it read the rows. Neither counts the JVM or the driver, which other jobs of the session need too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.learners import TrainSpec
from synml_dagster.learners.one_process.rows import read_rows
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import publish_table
from synml_dagster.tuning import Candidate, Family, run_sweep
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import TrialJobs, trial_data

ROUNDS = 100


def table(rows: int, columns: int, file: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns)).astype(np.float32)
    score = X[:, 0] + X[:, 1] * X[:, 2] + np.sin(3 * X[:, 3]) + rng.normal(0, 1, rows)
    made = {f"x{i}": X[:, i] for i in range(columns)} | {"y": np.where(score > 0, "yes", "no")}
    pq.write_table(pa.table(made), file)


def choices(trials: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(1)
    return [
        {
            "num_leaves": int(rng.integers(15, 128)),
            "learning_rate": float(rng.uniform(0.02, 0.2)),
            "min_data_in_leaf": int(rng.integers(5, 100)),
            "feature_fraction": float(rng.uniform(0.5, 1)),
        }
        for _ in range(trials)
    ]


class Memory:
    """The most that processes held while the block ran."""

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes, self.most, self._over = processes, 0, threading.Event()

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.most = max(self.most, sum(held(pid) for pid in self._processes()))


def held(pid: int) -> int:
    """Return the bytes of a process's proportional set; 0 where it has ended."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return 1024 * int(next(line for line in told.splitlines() if line.startswith("Pss:")).split()[1])


def workers() -> list[int]:
    """Return the Python workers of this process's Spark."""
    own = os.getpid()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"pyspark.daemon" in said and own in ancestors(int(folder.name)):
            found.append(int(folder.name))
    return found


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.append(pid)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=28)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=2)
    given = parser.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    with tempfile.TemporaryDirectory() as folder:
        table(given.rows, given.columns, Path(folder) / "t.parquet")
        raw = spark.read.parquet(f"{folder}/t.parquet")
        plan = fit_plan(raw, name="bench", label="y")
        features = publish_table(assemble(raw, plan), f"{folder}/features", partition_by=[SPLIT])
        train, beside = (features.files(**{SPLIT: s}) for s in ("train", "validation"))
        spec = TrainSpec(rounds=ROUNDS, early_stopping=0)
        tried = choices(given.trials)

        def ours(number: int) -> float:
            data, frame = trial_data(
                spark, plan, train, beside, FoldPlan(0, 1, ""), Measure.of("binary"), None
            )
            jobs = TrialJobs(spark, data, frame, {"lightgbm": spec}, Path(folder) / f"answers-{number}")
            portfolio = [Candidate(str(i), params) for i, params in enumerate(tried)]
            began = time.perf_counter()
            run_sweep(
                jobs,
                families=[Family("lightgbm", {}, portfolio)],
                storage=Path(folder) / f"ours-{number}.db",
                key={},
                metric="logloss",
                maximize=False,
                trials=len(tried),
                minutes=60,
                parallel=2,
            )
            return time.perf_counter() - began

        def plain(number: int) -> float:
            import optuna
            from lightgbm import LGBMClassifier
            from sklearn.metrics import log_loss

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            rows, validation = (read_rows(spark, f, plan.feature_names) for f in (train, beside))
            X, V = np.ascontiguousarray(rows.X), np.ascontiguousarray(validation.X)
            numbers = count()

            def objective(trial):
                params = tried[next(numbers)]
                model = LGBMClassifier(n_estimators=ROUNDS, n_jobs=1, verbosity=-1, subsample_for_bin=200_000)
                model.set_params(**params)
                model.fit(X, rows.y, eval_set=[(V, validation.y)])
                return log_loss(validation.y, model.predict_proba(V)[:, 1])

            study = optuna.create_study(storage=f"sqlite:///{folder}/plain-{number}.db")
            began = time.perf_counter()
            study.optimize(objective, n_trials=len(tried), n_jobs=2)
            return time.perf_counter() - began

        for number in range(given.repeat):
            with Memory(workers) as of_workers:
                one = ours(number)
            before = held(os.getpid())
            with Memory(lambda: [os.getpid()]) as of_this:
                two = plain(number)
            plainly = of_this.most - before
            print(
                f"ours {60 * len(tried) / one:.1f} trials a minute, plain Optuna {60 * len(tried) / two:.1f}: ratio {two / one:.2f}; "
                f"memory {of_workers.most / 2**20:.0f} and {plainly / 2**20:.0f} MiB: ratio {of_workers.most / plainly:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
