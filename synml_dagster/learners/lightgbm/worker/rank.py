"""What one rank does: load its rows, meet the others, boost, and hand the booster back (rank 0 alone).

Runs on the executors. LightGBM is imported inside the functions, so that the driver needs nothing of it to send this.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SynmlError
from synml_dagster.learners.lightgbm.data.row_sources import spool_folder
from synml_dagster.learners.lightgbm.worker.bagging_seeds import rank_seeds
from synml_dagster.learners.lightgbm.worker.boosting import boost
from synml_dagster.learners.lightgbm.worker.early_stopping import Watch
from synml_dagster.learners.lightgbm.worker.heartbeat import Line, PeerLostError, RankFailedError
from synml_dagster.learners.lightgbm.worker.job import RankJob
from synml_dagster.learners.lightgbm.worker.loading import datasets, rows_of
from synml_dagster.learners.lightgbm.worker.memory import release_freed
from synml_dagster.learners.lightgbm.worker.rendezvous import meet

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.spark.barrier_group import Member

_VALUES_A_THREAD = 1 << 18
_NETWORK_WORDS = ("socket", "connect", "binding port", "network", "recv", "send error")


def run_rank(job: RankJob, member: Member, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, bytes]]:
    """Do the work of `member` and yield `("model", text)` and `("facts", json)`, or `("error", json)`.

    A rank that another rank's death takes along raises, so that Spark starts the barrier group again.
    """
    with contextlib.ExitStack() as stack:
        try:
            yield from _work(job, member, batches, stack)
        except (PeerLostError, RankFailedError):
            raise
        except Exception as problem:
            yield "error", json.dumps({"rank": member.rank, **_described(problem)}).encode()


def _work(
    job: RankJob, member: Member, batches: Iterator[pa.RecordBatch], stack: contextlib.ExitStack
) -> Iterator[tuple[str, bytes]]:
    clock = {"start": time.monotonic()}
    folder = Path(stack.enter_context(spool_folder()))
    params = _params_with_files(job, folder)
    line: Line | None = None
    try:
        rows, valid_rows = rows_of(job, member, batches, folder)
        clock["rows"] = time.monotonic()
        params["num_threads"] = _worthwhile(job, rows.rows)
        meeting = meet(job, member, rows.rows, params) if member.size > 1 else None
        if meeting is not None:
            line = stack.enter_context(contextlib.closing(meeting.line))
            params |= {"num_machines": member.size, "pre_partition": True, "num_threads": meeting.threads}
            params.setdefault("tree_learner", "data")
            params |= rank_seeds(params, meeting.rows, member.rank)
        train, valid, first = datasets(job, member, rows, valid_rows, params)
        release_freed()
        clock["binned"] = time.monotonic()
        if meeting is not None:
            from synml_dagster.learners.lightgbm.worker.native import join_network, leave_network

            meeting.line.wait_for_all()
            stack.callback(leave_network)
            meeting.holder.close()
            join_network(meeting.machines, meeting.port, job.network_minutes)
        booster, watch = boost(job, member, params, train, valid, first, line)
        clock["boosted"] = time.monotonic()
    except Exception as problem:
        if line is None:
            raise
        lost = isinstance(problem, PeerLostError | RankFailedError)
        if not lost and not _is_network(problem):
            line.fail(f"{type(problem).__name__}: {problem}")
            raise
        verdict = problem if isinstance(problem, RankFailedError) else line.verdict(3.0)
        if isinstance(verdict, RankFailedError):
            return  # the rank that failed says why
        raise verdict from problem
    if member.rank == 0:
        yield "model", clean_text(booster.model_to_string(num_iteration=watch.finish() or -1)).encode()
        yield "facts", json.dumps(_facts(job, params, watch, booster, clock, train)).encode()


def _params_with_files(job: RankJob, folder: Path) -> dict[str, Any]:
    params = dict(job.params)
    for name, content in job.files.items():
        (folder / name).write_text(content)
        params[name] = str(folder / name)
    return params


def _worthwhile(job: RankJob, rows: int) -> int:
    """On a small table a second thread costs more in waiting than it brings; an explicit number is kept."""
    if not job.shared_threads:
        return job.threads
    return max(1, min(job.threads, rows * len(job.layout.features) // _VALUES_A_THREAD))


def _is_network(problem: Exception) -> bool:
    text = str(problem).casefold()
    return type(problem).__name__ == "LightGBMError" and any(word in text for word in _NETWORK_WORDS)


def _described(problem: Exception) -> dict[str, str]:
    import traceback

    kind = type(problem).__name__ if isinstance(problem, SynmlError) else "TrainingError"
    said = str(problem) if isinstance(problem, SynmlError) else f"{type(problem).__name__}: {problem}"
    return {"kind": kind, "message": said, "trace": traceback.format_exc()[-4000:]}


def clean_text(text: str) -> str:
    """Take out of the model what tells where it was trained: the same training gives the same text everywhere."""
    own = {
        "machines": "",
        "local_listen_port": "12400",
        "num_machines": "1",
        "num_threads": "0",
        "pre_partition": "0",
    }
    lines = []
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]") and ": " in line:
            name = line[1:].split(":", 1)[0]
            if name in own:
                line = f"[{name}: {own[name]}]"
            elif name.endswith("_filename"):
                line = f"[{name}: ]"
        lines.append(line)
    return "\n".join(lines)


def _facts(
    job: RankJob, params: Mapping[str, Any], watch: Watch, booster: Any, clock: dict[str, float], train: Any
) -> dict[str, Any]:
    marks = list(clock.items())
    seconds = {name: round(at - marks[i][1], 4) for i, (name, at) in enumerate(marks[1:])}
    return {
        "history": watch.history,
        "best_iteration": watch.best_iteration,
        "iterations": booster.current_iteration(),
        "rows_on_rank_0": train.num_data(),
        "threads": params["num_threads"],
        "seconds": seconds,
    }
