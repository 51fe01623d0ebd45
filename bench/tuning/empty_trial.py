"""What a trial costs that does nothing: ours with its Spark job, and MLflow's Optuna on Spark, in one Spark session.

python bench/tuning/empty_trial.py --trials 48
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from synml_dagster.learners import ParameterRange
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.spark.session import job_tag
from synml_dagster.tuning import Candidate, Family, TrialOutcome, run_sweep

PARAMETERS = [f"p{i}" for i in range(8)]


def nothing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def ours(spark, trials: int, folder: str) -> list[float]:
    """Return the moment at which each trial ended, from the start of the sweep."""
    ended: list[float] = []

    def train(question):
        with job_tag(spark, f"bench-{question.order}"):
            spark.range(0, 1, 1, 1).mapInArrow(nothing, "id long").toArrow()
        return TrialOutcome(sum((question.params[p] - 0.3) ** 2 for p in PARAMETERS))

    space = {p: ParameterRange(low=0.0, high=1.0) for p in PARAMETERS}
    began = time.perf_counter()
    run_sweep(
        train,
        families=[Family("f", space, [Candidate("default", dict.fromkeys(PARAMETERS, 0.5))])],
        storage=Path(folder) / "ours.db",
        key={},
        metric="m",
        maximize=False,
        trials=trials,
        minutes=30,
        on_trial=lambda *_: ended.append(time.perf_counter() - began),
    )
    return ended


def mlflows(spark, trials: int, folder: str) -> list[float]:
    """Return the same for `MlflowSparkStudy` over a SQLite store, one trial at a time."""
    import mlflow
    from mlflow.optuna.storage import MlflowStorage
    from mlflow.pyspark.optuna.study import MlflowSparkStudy

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("bench", artifact_location=f"file://{folder}/artifacts")
    mlflow.set_experiment("bench")

    def objective(trial):
        return sum((trial.suggest_float(p, 0.0, 1.0) - 0.3) ** 2 for p in PARAMETERS)

    began = time.perf_counter()
    study = MlflowSparkStudy(study_name="bench", storage=MlflowStorage(experiment_id=experiment))
    study.optimize(objective, n_trials=trials, n_jobs=1)
    took = time.perf_counter() - began
    finished = sorted(t.datetime_complete for t in study.trials if t.datetime_complete)
    first = finished[0]
    return [took - (finished[-1] - first).total_seconds() + (at - first).total_seconds() for at in finished]


def per_trial(ended: list[float], first: int, last: int) -> float:
    """Return the median seconds from one end to the next, of the trials `first` to `last` (from 1)."""
    steps = [b - a for a, b in pairwise(ended)]
    return statistics.median(steps[max(0, first - 2) : last - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=48)
    given = parser.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    spark.range(0, 1, 1, 1).mapInArrow(nothing, "id long").toArrow()
    for name, run in (("ours", ours), ("MLflow's", mlflows)):
        with tempfile.TemporaryDirectory() as folder:
            ended = run(spark, given.trials, folder)
            late = max(9, given.trials - 7)
            print(
                f"{name}: {per_trial(ended, 2, 8):.3f} s a trial in trials 2-8, "
                f"{per_trial(ended, late, given.trials):.3f} s in trials {late}-{given.trials}",
                flush=True,
            )


if __name__ == "__main__":
    main()
