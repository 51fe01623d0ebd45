"""What Dagster, storing and bookkeeping add to the work of Spark, LightGBM and ONNX in one run of a pipeline.

    python -m bench.operation.overhead --rows 1000000

One training run, in process, from a Parquet file to the report. While it goes on, a stopwatch runs inside of the calls that do the work: fitting the plan, assembling and
writing features, training, measuring, exporting, comparing, explaining, scoring and writing. Another runs while a picture is drawn and nothing else is done. What the run took beyond the work is the
overhead, with and without the pictures: Dagster's events, the snapshot of the source, MLflow, manifests, the report. All are of the same run, so that a busy machine slows them alike. Each asset's share
is told by its own metadata `work/seconds`. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg

from bench.lightgbm.made import make_table
from synml_dagster import MLPipeline

WORK = (
    "synml_dagster.assets.feature_plan:fit_plan",
    "synml_dagster.tables.publish:write_rows",
    "synml_dagster.tables.publish:_write",
    "synml_dagster.learners.lightgbm.learner:LightGBMLearner.fit",
    "synml_dagster.assets.evaluation:evaluate_scored",
    "synml_dagster.assets.evaluation:weak_spots",
    "synml_dagster.assets.onnx_model:export_pipeline",
    "synml_dagster.assets.onnx_model:check_parity",
    "synml_dagster.assets.reasons.explanations:explain",
    "synml_dagster.assets.scoring.predictions:doubts",
)
"""Where the work is done, as the assets call it."""

PICTURES = (
    "synml_dagster.plots.evaluation:curves",
    *(
        f"synml_dagster.plots.explanations:{name}"
        for name in ("importance", "beeswarm", "dependence", "waterfall")
    ),
    *(f"synml_dagster.plots.training:{name}" for name in ("training_history", "importance")),
)
"""What draws, as the assets and the report call it."""

STEP = "synml_dagster.assets.stage.failures:begin"


class Stopwatch:
    """Adds up the seconds within calls by the step that they belong to; a call inside of another counts once.

    What another thread does beside the run's own is not counted: where the run has to wait for it, that is overhead.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.drawing: Counter[str] = Counter()
        self._step, self._depth = "", 0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return self._timed(call, self.seconds)

    def around_picture(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return self._timed(call, self.drawing)

    def _timed(self, call: Callable[..., Any], seconds: Counter[str]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return call(*arguments, **named)
            self._depth += 1
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    seconds[self._step] += time.perf_counter() - began

        return timed

    def at(self, begin: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def noted(run_id: str, step: str) -> None:
            self._step = step.rpartition("__")[2]
            begin(run_id, step)

        return noted


@contextmanager
def replaced(place: str, change: Callable[[Any], Any]) -> Iterator[None]:
    module, _, path = place.partition(":")
    owner: Any = import_module(module)
    *inner, name = path.split(".")
    for part in inner:
        owner = getattr(owner, part)
    before = getattr(owner, name)
    setattr(owner, name, change(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "synml-bench-operation")
    asked = parser.parse_args()
    table = make_table(asked.keep / f"table-{asked.rows}.parquet", asked.rows)
    with tempfile.TemporaryDirectory(dir=asked.keep) as folder:
        os.environ |= {"SYNML_DATA_DIR": folder, "SPARK_MASTER": "local[2]"}
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        told = {
            "name": "bench",
            "source": str(table),
            "label": "label",
            "sweep": {"trials": 0},
            "train": {"rounds": asked.rounds, "early_stopping": 0},
        }
        print(json.dumps({"rows": asked.rows, "load before": os.getloadavg()[0]} | measured(told)))


def measured(told: dict[str, Any]) -> dict[str, Any]:
    watch = Stopwatch()
    job = MLPipeline.model_validate(told).definitions().resolve_job_def(f"{told['name']}_train")
    with ExitStack() as stack:
        session = stack.enter_context(opened())
        session.range(10).count()  # what the first job starts is no run's
        for place in WORK:
            stack.enter_context(replaced(place, watch.around))
        for place in PICTURES:
            stack.enter_context(replaced(place, watch.around_picture))
        stack.enter_context(replaced(STEP, watch.at))
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        began = time.perf_counter()
        done = job.execute_in_process(instance=instance)
        whole = time.perf_counter() - began
    steps = {
        e.asset_key.path[-1]: e.step_materialization_data.materialization.metadata
        for e in done.get_asset_materialization_events()
    }
    cost = {name: float(str(meta["work/seconds"].value)) for name, meta in steps.items()}
    work, drawing = sum(watch.seconds.values()), sum(watch.drawing.values())
    return {
        "run": round(whole, 2),
        "work": round(work, 2),
        "pictures": round(drawing, 2),
        "overhead": round(whole / work - 1, 3),
        "overhead without pictures": round((whole - drawing) / work - 1, 3),
        "between the steps": round(whole - sum(cost.values()), 2),
        "beside the work in each asset": {
            name: round(seconds - watch.seconds[name], 2) for name, seconds in cost.items()
        },
        "work in each asset": {name: round(seconds, 2) for name, seconds in watch.seconds.items()},
        "load after": os.getloadavg()[0],
    }


@contextmanager
def opened() -> Iterator[Any]:
    """The session that the run then finds open."""
    from synml_dagster.spark import SparkSettings, open_session

    session = open_session(SparkSettings(master="local[2]"))
    try:
        yield session
    finally:
        session.stop()


if __name__ == "__main__":
    main()
