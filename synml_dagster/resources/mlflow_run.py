"""The one MLflow run of a Dagster run: found or made by any of its steps, and closed with the right status."""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.resources.model_registry import ModelVersion, register

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RUN_TAG = "dagster.run_id"
STEP_TAG = "dagster.step."
_MAX_PARAM = 6000
_LOOKS = 10


@dataclass(frozen=True)
class MLflowRun:
    """What a step logs to.

    Attributes
    ----------
    client
        MLflow's own client, for all that has no method here.
    run_id, experiment_id
        MLflow's ids.
    url
        The run's page where the store is served by HTTP; otherwise the command that shows it.
    """

    client: MlflowClient
    run_id: str
    experiment_id: str
    url: str

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; what was logged under a name before stays, as MLflow does not change parameters."""
        from mlflow.entities import Param

        present = self.client.get_run(self.run_id).data.params
        new = [Param(_name(k), str(v)[:_MAX_PARAM]) for k, v in params.items() if _name(k) not in present]
        for start in range(0, len(new), 100):
            self.client.log_batch(self.run_id, params=new[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Log numbers; None and not-a-number are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = [
            Metric(_name(k), float(v), now, step)
            for k, v in metrics.items()
            if v is not None and not math.isnan(float(v))
        ]
        for start in range(0, len(new), 1000):
            self.client.log_batch(self.run_id, metrics=new[start : start + 1000])

    def log_history(self, history: Mapping[str, list[float]]) -> None:
        """Log curves: each list is one metric, by step from 0."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = [
            Metric(_name(k), float(v), now, i)
            for k, values in history.items()
            for i, v in enumerate(values)
            if not math.isnan(float(v))
        ]
        for start in range(0, len(new), 1000):
            self.client.log_batch(self.run_id, metrics=new[start : start + 1000])

    def log_pictures(self, pngs: Mapping[str, bytes], folder: str = "pictures") -> None:
        """Store PNG pictures with the run, each under its name."""
        with tempfile.TemporaryDirectory(prefix="synml-pictures-") as place:
            for name, png in pngs.items():
                with open(os.path.join(place, re.sub(r"\W+", "_", name).strip("_") + ".png"), "wb") as out:
                    out.write(png)
            self.client.log_artifacts(self.run_id, place, folder)

    def child(
        self,
        name: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        tags: Mapping[str, str],
        failed: bool = False,
    ) -> str:
        """Make a finished run below this one, shown nested in MLflow's UI, and return its id; one that the server refuses to finish is none."""
        from mlflow.exceptions import RestException

        own = {**tags, "mlflow.parentRunId": self.run_id}
        made = self.client.create_run(
            self.experiment_id, run_name=name, tags={k: v[:_MAX_PARAM] for k, v in own.items()}
        )
        below = MLflowRun(self.client, made.info.run_id, self.experiment_id, self.url)
        try:
            below.log_params(params)
            below.log_metrics(metrics)
            self.client.set_terminated(made.info.run_id, "FAILED" if failed else "FINISHED")
        except BaseException as problem:
            # A server that has not answered for minutes would be waited for as long again.
            if isinstance(problem, RestException) or not self.client.tracking_uri.startswith("http"):
                with suppress(Exception):  # the first error is the one to see
                    self.client.delete_run(made.info.run_id)
            raise
        return str(made.info.run_id)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; a later value replaces an earlier one."""
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, str(value)[:_MAX_PARAM])

    def log_artifacts(self, path: str | os.PathLike[str], folder: str | None = None) -> None:
        """Store a file, or all files of a directory, with the run."""
        if os.path.isdir(path):
            self.client.log_artifacts(self.run_id, os.fspath(path), folder)
        else:
            self.client.log_artifact(self.run_id, os.fspath(path), folder)

    def register(
        self, name: str, directory: str | os.PathLike[str], description: str | None = None
    ) -> ModelVersion:
        """Store `directory` with the run and register it as the next version of the model `name`."""
        return register(self.client, self.run_id, name, directory, description)


def find_run(client: MlflowClient, experiments: Sequence[str], dagster_run_id: str) -> Run | None:
    """Return the MLflow run of a Dagster run, in one of the experiments with these ids.

    Hosts that made one each at the same moment have to agree: the oldest is the one, and of two with the same time
    the one with the smaller id.
    """
    found = client.search_runs(
        list(experiments), filter_string=f"tags.`{RUN_TAG}` = '{dagster_run_id}'", max_results=50
    )
    return min(found, key=lambda r: (r.info.start_time, r.info.run_id)) if found else None


def find_or_make_run(
    client: MlflowClient, experiment_id: str, dagster_run_id: str, name: str, tags: Mapping[str, str]
) -> Run:
    """Return the MLflow run of a Dagster run, made now where no step has made it yet."""
    with _alone(f"{experiment_id}-{dagster_run_id}"):
        if found := find_run(client, [experiment_id], dagster_run_id):
            return found
        made = client.create_run(experiment_id, run_name=name, tags={**tags, RUN_TAG: dagster_run_id})
        chosen = find_run(client, [experiment_id], dagster_run_id) or made
        if chosen.info.run_id != made.info.run_id:
            client.delete_run(made.info.run_id)
        return chosen


def settle(client: MlflowClient, run_id: str, failed: bool = False) -> str:
    """Give the run the status that its steps' tags add up to, and return it.

    Each step writes a tag of its own, so that steps that end at the same time do not undo each other, and a step that
    failed and was tried again with success heals the run. Of several that write at the same time, the last one looks once more.
    """
    status = _status(client, run_id, failed)
    for _ in range(_LOOKS):
        if status == "RUNNING":
            client.update_run(run_id, status=status)
        else:
            client.set_terminated(run_id, status)
        # A step that ended between the look and the writing has written what it saw, and may have been overwritten.
        before, status = status, _status(client, run_id, failed)
        if status == before:
            break
    return status


def _status(client: MlflowClient, run_id: str, failed: bool) -> str:
    tags = client.get_run(run_id).data.tags
    states = {value for key, value in tags.items() if key.startswith(STEP_TAG)}
    if failed or "failed" in states:
        return "FAILED"
    return "RUNNING" if "running" in states else "FINISHED"


@contextmanager
def _alone(key: str, seconds: float = 120) -> Iterator[None]:
    """Let the steps of one Dagster run on this host take turns."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    path = os.path.join(tempfile.gettempdir(), f"synml-mlflow-{os.getuid()}-{name}.lock")
    end = time.monotonic() + seconds
    while True:
        with open(path, "a", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    yield  # the run chosen is the same on all sides even then
                    return
                time.sleep(0.05)
                continue
            # Who held it before has removed the file, so that none is left for each run: then the lock is of nothing.
            if not _is_open_at(path, lock.fileno()):
                continue
            try:
                yield
            finally:
                os.unlink(path)
            return


def _is_open_at(path: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _name(text: str) -> str:
    """MLflow takes letters, digits and a few signs; `ndcg@5` becomes `ndcg_at_5`."""
    return re.sub(r"[^\w\-. :/]", "_", str(text).replace("@", "_at_"))[:250]
