"""What one rank does: load its rows, meet the others, boost, and hand the booster back (rank 0 alone).

Runs on the executors. LightGBM is imported inside the functions, so that the driver needs nothing of it to send this.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, DataError, SetupError, SynmlError
from synml_dagster.lightgbm.bins import sample_here
from synml_dagster.lightgbm.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from synml_dagster.lightgbm.ingest import (
    Layout,
    ShareRows,
    SpooledRows,
    matrix_blocks,
    read_extras,
    spool,
    spool_folder,
    whole_groups,
)
from synml_dagster.lightgbm.network import (
    Line,
    PeerLostError,
    RankFailedError,
    hold_port,
    own_address,
)
from synml_dagster.lightgbm.reporting import Reporter
from synml_dagster.lightgbm.validation import Watch

if TYPE_CHECKING:
    import lightgbm as lgb

    from synml_dagster.spark.gang import Member
    from synml_dagster.spark.shares import Share

_VALUES_A_THREAD = 1 << 18
_NETWORK_WORDS = ("socket", "connect", "binding port", "network", "recv", "send error")


@dataclass(frozen=True)
class RankJob:
    """Everything that the ranks of one training have to know; the same for all of them."""

    training: str
    layout: Layout
    params: Mapping[str, Any]
    rounds: int
    sample: int
    total_rows: int | None = None
    bins: bytes | None = None
    shares: Sequence[Share] | None = None
    valid_share: Share | None = None
    columns: tuple[str, ...] = ()
    validated: bool = False
    patience: int | None = None
    first_metric_only: bool = False
    min_delta: float = 0.0
    threads: int = 1
    shared_threads: bool = True
    init_text: str | None = None
    objective: Callable[..., Any] | None = None
    metrics: tuple[Callable[..., Any], ...] = ()
    learning_rates: Callable[[int], float] | tuple[float, ...] | None = None
    callbacks: tuple[Callable[..., Any], ...] = ()
    checkpoint: str | None = None
    checkpoint_seconds: float = 60.0
    silence: float = 30.0
    network_minutes: int = 2
    files: Mapping[str, str] = field(default_factory=dict)
    report_to: tuple[tuple[str, int], ...] = ()
    report_token: str = ""

    def __call__(self, member: Member, batches: Iterator[Any]) -> Iterator[tuple[str, bytes]]:
        """Do the work of `member` and yield `("model", text)` and `("facts", json)`, or `("error", json)`."""
        with contextlib.ExitStack() as stack:
            try:
                yield from _work(self, member, batches, stack)
            except (PeerLostError, RankFailedError):
                raise
            except Exception as problem:
                yield "error", json.dumps({"rank": member.rank, **_described(problem)}).encode()


def _work(
    job: RankJob, member: Member, batches: Iterator[Any], stack: contextlib.ExitStack
) -> Iterator[tuple[str, bytes]]:
    clock = {"start": time.monotonic()}
    folder = Path(stack.enter_context(spool_folder()))
    params = _params_with_files(job, folder)
    line: Line | None = None
    try:
        rows, valid_rows = _rows_of(job, member, batches, folder)
        clock["rows"] = time.monotonic()
        params["num_threads"] = _worthwhile(job, rows.rows)
        meeting = _meet(job, member, rows.rows, params) if member.size > 1 else None
        if meeting is not None:
            line = stack.enter_context(contextlib.closing(meeting.line))
            params |= {"num_machines": member.size, "pre_partition": True, "num_threads": meeting.threads}
            params.setdefault("tree_learner", "data")
        train, valid, first = _datasets(job, member, rows, valid_rows, params)
        clock["binned"] = time.monotonic()
        if meeting is not None:
            from synml_dagster.lightgbm.native import join_network, leave_network

            stack.callback(leave_network)
            meeting.holder.close()
            join_network(meeting.machines, meeting.port, job.network_minutes)
        booster, watch = _boost(job, member, params, train, valid, first, line)
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
        yield "model", _clean_text(booster.model_to_string(num_iteration=watch.finish() or -1)).encode()
        yield "facts", json.dumps(_facts(job, params, watch, booster, clock, train)).encode()


# --- rows ---------------------------------------------------------------------------------------------------------


def _rows_of(
    job: RankJob, member: Member, batches: Iterator[Any], folder: Path
) -> tuple[ShareRows | SpooledRows, ShareRows | SpooledRows | None]:
    if job.shares is not None:
        for _ in batches:
            pass
        rows = ShareRows(job.shares[member.rank], job.columns)
        valid = ShareRows(job.valid_share, job.columns) if job.valid_share and member.rank == 0 else None
        return rows, valid
    train, held_out = spool(batches, folder)
    return train, held_out if job.validated and member.rank == 0 else None


@dataclass(frozen=True)
class _First:
    """What training begins from: trees that are there already, and how many of this training's rounds they hold."""

    text: str | None
    rounds: int
    checkpoint: Checkpoint | None


def _datasets(
    job: RankJob,
    member: Member,
    rows: ShareRows | SpooledRows,
    valid_rows: ShareRows | SpooledRows | None,
    params: Mapping[str, Any],
) -> tuple[lgb.Dataset, lgb.Dataset | None, _First]:
    from synml_dagster.lightgbm import native

    found = read_checkpoint(job.checkpoint, job.training) if job.checkpoint else None
    first = _First(found.text, found.rounds, found) if found else _First(job.init_text, 0, None)
    before = _booster(first.text) if first.text else None
    width = len(job.layout.features)
    if before is not None and before.num_feature() != width:
        raise ConfigError(f"init_model was trained on {before.num_feature()} features and {width} are given.")
    extras, sizes = _extras(job, rows)
    if job.bins is not None:
        train = native.dataset_from_bins(job.bins, rows.rows, int(params.get("num_class", 1)), params)
    else:
        if rows.rows == 0:
            raise DataError("there are no training rows.")
        features = range(width)
        sample = sample_here(
            lambda: matrix_blocks(rows.batches(features), width), rows.rows, job.sample, width
        )
        train = native.dataset_from_sample(sample, rows.rows, rows.rows, params)
        del sample
    _fill(train, rows, extras, sizes, before, job)
    valid = None
    if valid_rows is not None:
        if valid_rows.rows == 0:
            raise DataError(
                "there are no validation rows. Leave validation out, or check the column or table it names."
            )
        valid_extras, valid_sizes = _extras(job, valid_rows)
        if job.bins is not None:
            valid = native.dataset_from_bins(
                job.bins, valid_rows.rows, int(params.get("num_class", 1)), params
            )
        else:
            valid = native.dataset_like(train, valid_rows.rows, params)
        _fill(valid, valid_rows, valid_extras, valid_sizes, before, job)
    return train, valid, first


def _extras(job: RankJob, rows: ShareRows | SpooledRows) -> tuple[dict[str, Any], Any]:
    width = len(job.layout.features)
    only = range(width, width + len(job.layout.extras))
    extras = read_extras(rows.batches(only), job.layout)
    _check_label(extras["label"], job)
    if "group" not in extras:
        return extras, None
    order, sizes = whole_groups(extras.pop("group"))
    if order is not None:
        if not isinstance(rows, SpooledRows):
            raise TypeError("grouped rows are read through Spark")
        rows.order = order
        extras = {name: values[order] for name, values in extras.items()}
    return extras, sizes


def _check_label(label: Any, job: RankJob) -> None:
    kind = str(job.params.get("objective", "regression"))
    if kind in ("binary", "cross_entropy") and len(label):
        bad = (label < 0) | (label > 1) if kind == "cross_entropy" else (label != 0) & (label != 1)
        if bad.any():
            raise DataError(
                f"objective {kind!r} wants labels {'between 0 and 1' if kind == 'cross_entropy' else '0 and 1'} and got {label[bad][0]:g}."
            )
    elif kind.startswith("multiclass") and len(label):
        k = int(job.params.get("num_class", 1))
        bad = (label < 0) | (label >= k) | (label != np.floor(label))
        if bad.any():
            raise DataError(
                f"objective {kind!r} with num_class={k} wants labels 0 to {k - 1} and got {label[bad][0]:g}."
            )


def _fill(
    dataset: lgb.Dataset,
    rows: ShareRows | SpooledRows,
    extras: dict[str, Any],
    sizes: Any,
    before: lgb.Booster | None,
    job: RankJob,
) -> None:
    """Push the rows into `dataset` block by block and set what belongs to them."""
    from synml_dagster.lightgbm.native import push_rows

    width, start, scores = len(job.layout.features), 0, []
    for block in matrix_blocks(rows.batches(range(width)), width):
        if start + len(block) > rows.rows:
            raise DataError(f"more rows came than the {rows.rows} that were counted; does the table change?")
        push_rows(dataset, block, start)
        if before is not None:
            scores.append(before.predict(block, raw_score=True, num_threads=job.threads))
        start += len(block)
    if start != rows.rows:
        raise DataError(f"{start} rows came where {rows.rows} were counted; does the table change?")
    dataset.set_field("label", extras["label"].astype(np.float32))
    if "weight" in extras:
        dataset.set_field("weight", extras["weight"].astype(np.float32))
    if sizes is not None:
        dataset.set_field("group", sizes)
    init = [extras[name] for name in job.layout.init_columns]
    score = np.column_stack(init) if init else None
    if before is not None:
        earlier = np.concatenate(scores) if scores else np.empty(0)
        earlier = earlier.reshape(rows.rows, -1)
        score = earlier if score is None else earlier + score
    if score is not None and len(score):
        dataset.set_field("init_score", np.ascontiguousarray(score.ravel(order="F"), dtype=np.float64))


# --- meeting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Meeting:
    line: Line
    holder: socket.socket
    port: int
    machines: list[tuple[str, int]]
    threads: int


def _meet(job: RankJob, member: Member, rows: int, params: Mapping[str, Any]) -> _Meeting:
    """Tell all ranks who is where, with the one gather that a training needs, and check that they fit together."""
    address = own_address(member.hosts[member.rank])
    holder = hold_port(address)
    listener = socket.create_server((address, 0)) if member.rank == 0 else None
    told = {
        "address": address,
        "port": holder.getsockname()[1],
        "line": listener.getsockname()[1] if listener else 0,
        "token": secrets.token_hex(16) if member.rank == 0 else "",
        "rows": rows,
        "executor": f"{socket.gethostname()}/{os.getppid()}",
        "threads": params["num_threads"],
        "versions": _versions(),
    }
    ranks = [json.loads(text) for text in member.gather(json.dumps(told))]
    _check_versions([r["versions"] for r in ranks], [r["address"] for r in ranks])
    empty = [i for i, r in enumerate(ranks) if r["rows"] == 0]
    if empty:
        raise DataError(
            f"ranks {empty} of {member.size} have no rows: there are too few rows or groups for so many ranks. Train with fewer ranks."
        )
    together = sum(r["executor"] == told["executor"] for r in ranks)
    threads = max(1, int(params["num_threads"]) // (together if job.shared_threads else 1))
    line = Line(
        member.rank,
        member.size,
        listener,
        (ranks[0]["address"], ranks[0]["line"]),
        ranks[0]["token"],
        {r["port"] for r in ranks},
        job.silence,
    )
    return _Meeting(line, holder, told["port"], [(r["address"], r["port"]) for r in ranks], threads)


def _versions() -> dict[str, str]:
    import lightgbm
    import pyarrow

    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "lightgbm": lightgbm.__version__,
        "numpy": np.__version__,
        "pyarrow": pyarrow.__version__,
    }


def _check_versions(all_versions: list[dict[str, str]], addresses: list[str]) -> None:
    for name, version in all_versions[0].items():
        for other, address in zip(all_versions, addresses, strict=True):
            if other[name] != version:
                raise SetupError(
                    f"the executors differ: {name} is {version} on {addresses[0]} and {other[name]} on {address}. Install the locked wheels on every executor."
                )


# --- boosting -----------------------------------------------------------------------------------------------------


def _boost(
    job: RankJob,
    member: Member,
    params: Mapping[str, Any],
    train: lgb.Dataset,
    valid: lgb.Dataset | None,
    first: _First,
    line: Line | None,
) -> tuple[lgb.Booster, Watch]:
    import lightgbm as lgb
    from lightgbm.basic import _LIB, _safe_call

    watch = Watch(job.patience, job.first_metric_only, job.min_delta)
    if first.checkpoint is not None:
        watch.history, watch.best = first.checkpoint.history, dict(first.checkpoint.best)
    booster = lgb.Booster(dict(params), train)
    before = _booster(first.text) if first.text else None
    if before is not None:
        _safe_call(_LIB.LGBM_BoosterMerge(booster._handle, before._handle))
    if valid is not None:
        booster.add_valid(valid, "validation")
    lead = member.rank == 0
    training_metric = lead and _is_true(params.get("is_provide_training_metric"))
    asks = line is not None and (job.patience is not None or bool(job.callbacks))
    reporter = Reporter(list(job.report_to), job.report_token, job.rounds, first.rounds) if lead else None
    saved = time.monotonic()
    earlier = before.current_iteration() - first.rounds if before is not None else 0
    for done in range(first.rounds + 1, job.rounds + 1):
        if line is not None:
            line.check()
        rate = _rate(job.learning_rates, done - 1)
        if rate is not None:
            booster.reset_parameter({"learning_rate": rate})
        _call_back(job, booster, params, done, [], before_round=True)
        booster.update(fobj=job.objective)
        stop = False
        if lead:
            results = [*(booster.eval_train(_feval(job)) if training_metric else [])]
            results += booster.eval_valid(_feval(job)) if valid is not None else []
            stop = watch.record(earlier + done, results)
            stop = _call_back(job, booster, params, done, results, before_round=False) or stop
            if reporter is not None:
                reporter.say(done, watch.latest, last=stop or done == job.rounds)
            if (
                job.checkpoint
                and not stop
                and time.monotonic() - saved >= job.checkpoint_seconds
                and done < job.rounds
            ):
                text = booster.model_to_string(num_iteration=-1)
                write_checkpoint(
                    job.checkpoint, Checkpoint(job.training, done, text, watch.history, watch.best)
                )
                saved = time.monotonic()
        if asks and line is not None:
            stop = line.decide(stop)
        if stop:
            break
    if reporter is not None:
        reporter.close()
    return booster, watch


def _rate(rates: Callable[[int], float] | tuple[float, ...] | None, i: int) -> float | None:
    if rates is None:
        return None
    return float(rates(i) if callable(rates) else rates[i])


def _feval(job: RankJob) -> Any:
    return list(job.metrics) or None


def _call_back(
    job: RankJob, booster: Any, params: Mapping[str, Any], done: int, results: list[Any], before_round: bool
) -> bool:
    """Run LightGBM's own kind of callbacks; return whether one asked to stop."""
    if not job.callbacks:
        return False
    from lightgbm.callback import CallbackEnv, EarlyStopException

    environment = CallbackEnv(booster, dict(params), done - 1, 0, job.rounds, results)
    for callback in job.callbacks:
        if bool(getattr(callback, "before_iteration", False)) == before_round:
            try:
                callback(environment)
            except EarlyStopException:
                return True
    return False


def _booster(text: str) -> lgb.Booster:
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


# --- small things -------------------------------------------------------------------------------------------------


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


def _is_true(value: Any) -> bool:
    return str(value).casefold() in ("true", "1", "+")


def _is_network(problem: Exception) -> bool:
    text = str(problem).casefold()
    return type(problem).__name__ == "LightGBMError" and any(word in text for word in _NETWORK_WORDS)


def _described(problem: Exception) -> dict[str, str]:
    import traceback

    kind = type(problem).__name__ if isinstance(problem, SynmlError) else "TrainingError"
    said = str(problem) if isinstance(problem, SynmlError) else f"{type(problem).__name__}: {problem}"
    return {"kind": kind, "message": said, "trace": traceback.format_exc()[-4000:]}


def _clean_text(text: str) -> str:
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
