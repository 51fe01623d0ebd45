"""Finished answers survive whatever kills their sender, and none is paid for twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.errors import SetupError
from synml_dagster.services.journal.journal import answers_schema
from synml_dagster.services.journal.log import LogWriter, records, recover
from synml_dagster.services.journal.parts import PartsWriter

ROOT = Path(__file__).parents[2]
SCHEMA = answers_schema(pa.list_(pa.float32()))


def batch(*keys):
    rows = [dict.fromkeys(SCHEMA.names) | {"key": key, "value": [0.1, 2.0]} for key in keys]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def parts(folder):
    return sorted(
        key
        for file in Path(folder).glob("*.parquet")
        for key in pq.read_table(file).column("key").to_pylist()
    )


def test_what_was_appended_is_there_at_once_and_parquet_at_the_end(tmp_path):
    log = LogWriter(str(tmp_path), SCHEMA)
    log.append(batch("a"))
    log.append(batch("b", "c"))
    (file,) = tmp_path.glob("_*.log")
    assert [key for one in records(str(file), SCHEMA) for key in one.column("key").to_pylist()] == [
        "a",
        "b",
        "c",
    ]
    log.close()
    assert parts(tmp_path) == ["a", "b", "c"]
    assert not list(tmp_path.glob("_*"))


@pytest.mark.parametrize("torn", [1, 9, 60])
def test_a_torn_last_record_costs_itself_alone(torn, tmp_path):
    log = LogWriter(str(tmp_path), SCHEMA)
    log.append(batch("a"))
    log.append(batch("b"))
    (file,) = tmp_path.glob("_*.log")
    os.close(log._file)
    os.truncate(file, file.stat().st_size - torn)
    recover(str(file), SCHEMA)
    assert parts(tmp_path) == ["a"]


def test_a_sender_at_work_is_not_taken_for_a_killed_one(tmp_path):
    log = LogWriter(str(tmp_path), SCHEMA)
    log.append(batch("a"))
    (file,) = tmp_path.glob("_*.log")
    with pytest.raises(SetupError, match="another run"):
        recover(str(file), SCHEMA, patience=0.3)
    log.close()
    recover(str(file), SCHEMA)  # it has ended
    assert parts(tmp_path) == ["a"]


def test_a_full_disk_ends_the_run_and_says_so(tmp_path):
    log = LogWriter(str(tmp_path / "gone"), SCHEMA)
    with pytest.raises(SetupError, match="cannot be written"):
        log.append(batch("a"))


def test_a_killed_sender_leaves_all_that_it_had_finished(tmp_path):
    script = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.services.test_journal import LogWriter, SCHEMA, batch
        log = LogWriter({str(tmp_path)!r}, SCHEMA)
        for i in range(10**6):
            log.append(batch(str(i)))
            print(i, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    said = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait(10)
    (file,) = tmp_path.glob("_*.log")
    recover(str(file), SCHEMA)
    kept = set(parts(tmp_path))
    assert {line.strip() for line in said if line.endswith("\n")} <= kept
    assert len(kept) <= len(said) + 1


def test_on_an_object_store_there_is_a_part_a_second_and_one_in_the_end(tmp_path):
    writer = PartsWriter(f"file://{tmp_path}", SCHEMA)
    writer.append(batch("a"))
    end = time.monotonic() + 10
    while not parts(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert parts(tmp_path) == ["a"]
    writer.append(batch("b"))
    writer.close()
    assert parts(tmp_path) == ["a", "b"]
    assert len(list(tmp_path.glob("*.parquet"))) == 1
