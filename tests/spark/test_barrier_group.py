from __future__ import annotations

import threading
import time

import pytest

from synml_dagster.errors import SetupError, TrainingError
from synml_dagster.spark.barrier_group import executor_slots, run_barrier_group


def meets(member, batches):
    rows = sum(batch.num_rows for batch in batches)
    heard = member.gather(f"hello from {member.rank}")
    yield "heard", "|".join(heard).encode()
    yield "rows", str(rows).encode()


def brings_much(member, batches):
    list(batches)
    yield "much", bytes([member.rank]) * (5 << 19)
    yield "nothing", b""


def sleeps(member, batches):
    list(batches)
    time.sleep(60)
    yield "late", b""


def fails(member, batches):
    list(batches)
    if member.rank == 1:
        raise ValueError("rank 1 cannot go on")
    yield "fine", b""


def test_members_meet_and_each_hands_back_its_own(spark):
    messages = run_barrier_group(spark, 2, meets)
    assert [(m.member, m.kind) for m in messages] == [(0, "heard"), (0, "rows"), (1, "heard"), (1, "rows")]
    assert messages[0].payload == messages[2].payload == b"hello from 0|hello from 1"
    assert [m.payload for m in messages if m.kind == "rows"] == [b"1", b"1"]


def test_a_single_member_meets_itself(spark):
    assert [m.payload for m in run_barrier_group(spark, 1, meets)] == [b"hello from 0", b"1"]


def test_members_get_the_partitions_of_a_frame(spark):
    frame = spark.range(0, 10, 1, 1).repartition(2)
    messages = run_barrier_group(spark, 2, meets, frame=frame)
    assert sum(int(m.payload) for m in messages if m.kind == "rows") == 10


def test_results_of_any_size_come_back_whole(spark):
    messages = run_barrier_group(spark, 2, brings_much)
    assert [m.payload for m in messages if m.kind == "much"] == [bytes(5 << 19), b"\1" * (5 << 19)]
    assert [m.payload for m in messages if m.kind == "nothing"] == [b"", b""]


def test_more_members_than_slots_is_one_clear_error_in_seconds(spark):
    began = time.monotonic()
    with pytest.raises(SetupError, match=r"needs 64 tasks at the same time and .* can run 2"):
        run_barrier_group(spark, 64, meets, what="the training")
    assert time.monotonic() - began < 10


def test_a_deadline_stops_the_job(spark):
    began = time.monotonic()
    with pytest.raises(TrainingError, match="did not finish within 2 s"):
        run_barrier_group(spark, 2, sleeps, timeout=2)
    assert time.monotonic() - began < 30


def test_another_thread_can_stop_the_job(spark):
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    with pytest.raises(TrainingError, match="was stopped"):
        run_barrier_group(spark, 2, sleeps, interrupt=stop)


def test_what_a_member_raises_is_named(classic_spark):
    with pytest.raises(TrainingError, match="rank 1 cannot go on"):
        run_barrier_group(classic_spark, 2, fails)


def test_a_local_session_is_one_executor_with_all_its_cores(spark):
    assert executor_slots(spark) == [2]
