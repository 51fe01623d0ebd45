"""The driver is killed in mid-run: the next run sends what was in flight once more, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.services.server import Server

ROOT = Path(__file__).parents[2]
ROWS, IN_FLIGHT = 600, 8
SCRIPT = """
    import sys
    from synml_dagster.services import Limits, Service, call_service
    from synml_dagster.spark import SparkSettings, open_session
    url, journal = sys.argv[1:]
    spark = open_session(SparkSettings(master="local[2]"))
    frame = spark.range({rows}).selectExpr("concat('t', id) AS text")
    asked = Service(name="upper", url=url, body={{"t": "{{text}}"}}, answer={{"path": "answer"}})
    got = call_service(frame, asked, output="loud", journal=journal, limits=Limits(in_flight={in_flight}))
    print("DONE", got.report.resumed, got.frame.where("loud IS NULL").count(), flush=True)
"""


def start(url, journal):
    script = textwrap.dedent(SCRIPT.format(rows=ROWS, in_flight=IN_FLIGHT))
    return subprocess.Popen(
        [sys.executable, "-c", script, url, str(journal)], env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_driver_costs_what_it_had_in_flight(tmp_path):
    async def answer(seen, nth):
        await asyncio.sleep(0.02)
        return {"answer": seen.json["t"].upper()}

    with Server(answer) as server:
        first = start(f"{server.url}/v1", tmp_path)
        end = time.monotonic() + 300
        while server.calls < ROWS // 2 and time.monotonic() < end:
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)  # Python, the JVM and the workers at once
        first.wait(10)
        assert ROWS // 2 <= server.calls < ROWS
        time.sleep(0.1)
        at_kill = server.calls
        second = start(f"{server.url}/v1", tmp_path)
        said, _ = second.communicate(timeout=300)
        assert second.returncode == 0
        done, resumed, nothing = said.split()[-3:]
        assert (done, nothing) == ("DONE", "0")
        assert int(resumed) >= at_kill - IN_FLIGHT
        assert ROWS <= server.calls <= ROWS + IN_FLIGHT
        third = start(f"{server.url}/v1", tmp_path)
        before = server.calls
        third.communicate(timeout=300)
        assert server.calls == before


@pytest.mark.slow
def test_a_killed_driver_whose_workers_live_on_lets_the_next_run_wait_for_them(tmp_path):
    async def answer(seen, nth):
        await asyncio.sleep(0.02)
        return {"answer": seen.json["t"].upper()}

    with Server(answer) as server:
        first = start(f"{server.url}/v1", tmp_path)
        end = time.monotonic() + 300
        while server.calls < ROWS // 2 and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)  # the JVM and the workers notice it later
        first.wait(10)
        said, _ = start(f"{server.url}/v1", tmp_path).communicate(timeout=300)
        assert said.split()[-3:][0] == "DONE"
        assert server.calls <= ROWS + IN_FLIGHT
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
