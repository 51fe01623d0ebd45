"""The barrier group: n tasks that run at the same time, meet, work together and hand their results back in chunks.

Several members are the tasks of one barrier stage on the DataFrame API, so classic Spark and Connect run them alike. A
barrier stage that ends a job is never retried by Spark, so a one-partition shuffle follows it: then Spark itself starts
the whole group again when a member's process or host dies. One member alone is a plain task.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError, TrainingError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, Row, SparkSession

_CHUNK = 1 << 20
_SCHEMA = "member int, number int, kind string, part int, payload binary"
_NO_SLOTS = re.compile(
    r"BARRIER_STAGE_WITH_|SPARK-24819|requires more slots|BarrierJobSlotsNumberCheckFailed|more slots than"
)


class BarrierGroupLostError(TrainingError):
    """Spark gave the barrier group up: members died more often than it starts them again. Worth another try."""


@dataclass(frozen=True)
class Member:
    """One task of a barrier group, as its work sees it.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many members there are.
    attempt : int
        How often Spark has started this group before.
    hosts : list of str
        The members' hosts as Spark knows them, in the order of ranks; `["localhost"]` for a single member.
    """

    rank: int
    size: int
    attempt: int = 0
    hosts: list[str] = field(default_factory=lambda: ["localhost"])

    def gather(self, text: str) -> list[str]:
        """Return what every member passed, in the order of ranks. Takes about a second: meet once, not per round."""
        if self.size == 1:
            return [text]
        from pyspark import BarrierTaskContext

        return list(BarrierTaskContext.get().allGather(text))


@dataclass(frozen=True)
class Message:
    """What a member handed back."""

    member: int
    kind: str
    payload: bytes


Work = Callable[[Member, Iterator[Any]], Iterable[tuple[str, bytes]]]


def run_barrier_group(
    spark: SparkSession,
    size: int,
    work: Work,
    *,
    frame: DataFrame | None = None,
    cpus: int = 1,
    timeout: float | None = None,
    what: str = "the barrier group",
    interrupt: threading.Event | None = None,
) -> list[Message]:
    """Run `work` in `size` tasks at the same time and return what they hand back, in the order of members.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect.
    size : int
        How many members. Checked against the free task slots before anything starts.
    work : callable
        Takes its `Member` and the record batches of its partition, returns (kind, payload) pairs. It is pickled, so it
        is a function of an importable module, or closes over small things alone.
    frame : DataFrame, optional
        What the members get as batches: exactly `size` partitions. Without it each gets one row.
    cpus : int
        Cores that each member keeps for itself, so that no other job's task runs on them meanwhile. Left out of account
        where Spark cannot be asked for that: on a local session, and where executors come and go.
    timeout : float, optional
        Seconds until the job is stopped.
    interrupt : threading.Event, optional
        Set it from another thread to stop the job.

    Raises
    ------
    SetupError
        There are fewer task slots than members.
    TrainingError
        The timeout passed or the job was interrupted.
    BarrierGroupLostError
        Spark gave the job up.
    """
    if size > 1:
        check_slots(spark, size, what)
    source = frame if frame is not None else spark.range(0, size, 1, size)

    def member(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        me = _member(size)
        for number, (kind, payload) in enumerate(work(me, batches)):
            for part, start in enumerate(range(0, max(1, len(payload)), _CHUNK)):
                yield pa.RecordBatch.from_pydict(
                    {
                        "member": pa.array([me.rank], pa.int32()),
                        "number": pa.array([number], pa.int32()),
                        "kind": [kind],
                        "part": pa.array([part], pa.int32()),
                        "payload": pa.array([payload[start : start + _CHUNK]], pa.binary()),
                    }
                )

    job = source.mapInArrow(member, _SCHEMA, barrier=size > 1, profile=_profile(spark, cpus))
    if size > 1:
        job = job.repartition(1)
    rows = _collect(spark, job, timeout, what, interrupt)
    parts: dict[tuple[int, int], dict[int, bytes]] = {}
    kinds: dict[tuple[int, int], str] = {}
    for row in rows:
        key = (row["member"], row["number"])
        parts.setdefault(key, {})[row["part"]] = bytes(row["payload"])
        kinds[key] = row["kind"]
    return [
        Message(key[0], kinds[key], b"".join(parts[key][i] for i in sorted(parts[key])))
        for key in sorted(parts)
    ]


def check_slots(spark: SparkSession, size: int, what: str = "the barrier group") -> None:
    """Raise SetupError where fewer than `size` tasks can run at the same time; otherwise they would wait in silence."""
    slots = _slots(spark)
    if slots < size:
        raise _too_few(size, slots, what)


def executor_slots(spark: SparkSession) -> list[int]:
    """Return the number of cores that each executor of the session gives to tasks, greatest first.

    A local session is one executor. Elsewhere one task a slot, all at the same time, tells which executor it runs on.
    """
    from synml_dagster.spark.session import is_local

    slots = _slots(spark)
    if is_local(spark) or slots <= 1:
        return [max(1, slots)]
    cpus = int(spark.conf.get("spark.task.cpus", "1") or 1)
    found: dict[bytes, int] = {}
    for message in run_barrier_group(spark, slots, _where, timeout=60, what="the look at the executors"):
        found[message.payload] = found.get(message.payload, 0) + cpus
    return sorted(found.values(), reverse=True)


def _where(member: Member, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, bytes]]:
    import os
    import socket

    for _ in batches:
        pass
    yield "executor", f"{socket.gethostname()}/{os.getppid()}".encode()


def _slots(spark: SparkSession) -> int:
    """Return how many tasks run at the same time; what a server does not say shows in how it cuts a range."""
    from synml_dagster.spark.session import task_slots

    slots = task_slots(spark)
    if slots is None:
        from pyspark.sql import functions as sf

        slots = spark.range(1 << 16).select(sf.spark_partition_id().alias("p")).distinct().count()
    return slots


def _profile(spark: SparkSession, cpus: int) -> ResourceProfile | None:
    """Stage-level resources: tasks of `cpus` cores on the executors that there are."""
    from synml_dagster.spark.session import is_local

    dynamic = str(spark.conf.get("spark.dynamicAllocation.enabled", "false")).lower() == "true"
    if cpus <= int(spark.conf.get("spark.task.cpus", "1") or 1) or dynamic or is_local(spark):
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(cpus)).build


def _too_few(size: int, slots: int | None, what: str) -> SetupError:
    has = "fewer are free" if slots is None else f"the Spark session can run {slots} at the same time"
    return SetupError(
        f"{what} needs {size} tasks at the same time and {has}. Ask for fewer ranks, or give Spark more executor cores."
    )


def _member(size: int) -> Member:
    from pyspark import BarrierTaskContext, TaskContext

    if size == 1:
        context = TaskContext.get()
        return Member(0, 1, context.attemptNumber() if context else 0)
    barrier = BarrierTaskContext.get()
    hosts = [info.address.rsplit(":", 1)[0] for info in barrier.getTaskInfos()]
    return Member(barrier.partitionId(), size, barrier.attemptNumber(), hosts)


def _collect(
    spark: SparkSession, job: DataFrame, timeout: float | None, what: str, interrupt: threading.Event | None
) -> list[Row]:
    """Collect under a tag, so that a deadline or another thread can stop the job, on Connect too."""
    from synml_dagster.spark.session import job_tag, stop_tagged

    tag = f"synml-group-{uuid.uuid4().hex[:12]}"
    over = threading.Event()
    reason: list[str] = []

    def watch() -> None:
        waited = 0.0
        while not over.wait(0.2):
            waited += 0.2
            if timeout is not None and waited > timeout:
                reason.append("timeout")
            elif interrupt is not None and interrupt.is_set():
                reason.append("interrupt")
            else:
                continue
            stop_tagged(spark, tag)
            return

    watcher = threading.Thread(target=watch, daemon=True, name="synml-group-watch")
    if timeout is not None or interrupt is not None:
        watcher.start()
    try:
        with job_tag(spark, tag):
            return list(job.collect())
    except BaseException as problem:
        if not isinstance(problem, Exception):
            stop_tagged(spark, tag)
            raise
        if reason == ["timeout"]:
            raise TrainingError(f"{what} did not finish within {timeout:.0f} s and was stopped.") from problem
        if reason == ["interrupt"]:
            raise TrainingError(f"{what} was stopped.") from problem
        if _NO_SLOTS.search(str(problem)):
            raise _too_few(0, None, what) from problem
        raise BarrierGroupLostError(f"{what} was given up by Spark: {_root_of(problem)}") from problem
    finally:
        over.set()


def _root_of(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    for line in reversed(lines):
        if found := re.match(r"(?:Caused by: )?([\w.]*(?:Error|Exception|Failure)\b[^\n]*)", line):
            return found.group(1)[:500]
    return (lines[0] if lines else type(problem).__name__)[:500]
