"""Sends requests at a fixed rate, whether or not answers come, for little processor time: it shares the cores with the server.

Each connection has one request on its way at the most. One that is due while none is free counts as `not_sent`, so that a server that
is slow to answer is not asked less without a word. A request's time is counted from the moment that it was due, and so holds what this
process itself came late by; how late, and what it costs, is told beside.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import numpy as np

TICK = 0.001
WINDOW = 0.05
CALM = 0.5
"""In a calm window neither the server nor this process was ready to run, and had no core, for more than this part of it."""


class Connection(asyncio.Protocol):
    """Keeps a connection open, and says when an answer is whole."""

    def __init__(self, load: Load) -> None:
        self.load, self.seen, self.due = load, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.free.append(self)

    def data_received(self, data: bytes) -> None:
        self.seen += data
        end = self.seen.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.seen.find(b"content-length: ", 0, end)
        if len(self.seen) < end + 4 + int(self.seen[at + 16 : self.seen.find(b"\r", at)]):
            return
        status = int(self.seen[9:12])
        if status == 503 and self.seen.find(b"retry-after: ", 0, end) < 0:
            status = -503
        now = time.perf_counter()
        self.load.times.setdefault(status, []).append((now, now - self.due))
        self.seen, self.due = b"", 0.0
        self.load.free.append(self)

    def connection_lost(self, problem: Exception | None) -> None:
        if self.load.ends is None or time.perf_counter() < self.load.ends:
            self.load.lost += 1
        if self in self.load.free:
            self.load.free.remove(self)


class Load:
    """One go of requests."""

    def __init__(
        self, port: int, asked: str, rate: float, seconds: float, connections: int, server: int | None = None
    ) -> None:
        content = asked.encode()
        self.request = (
            b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (port, len(content), content)
        )
        self.port, self.rate, self.seconds, self.connections = port, rate, seconds, connections
        self.free: deque[Connection] = deque()
        self.server = server
        self.waits: list[tuple[float, float, float]] = []
        self.times: dict[int, list[tuple[float, float]]] = {}
        self.late: list[float] = []
        self.lost = self.not_sent = 0
        self.ends: float | None = None

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.perf_counter()
        self.ends = began + self.seconds
        sent, all_of_them = 0, int(self.rate * self.seconds)
        wanted = began
        while sent < all_of_them:
            now = time.perf_counter()
            self.late.append(now - wanted)
            for number in range(sent, min(all_of_them, int((now - began) * self.rate))):
                sent = number + 1
                if not self.free:
                    self.not_sent += 1
                    continue
                one = self.free.popleft()
                one.due = began + number / self.rate
                one.transport.write(self.request)
            if self.server is not None and (not self.waits or now - self.waits[-1][0] >= WINDOW):
                self.waits.append((now, waited(self.server)[1], waited(os.getpid())[1]))
            wanted = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(1)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return self.told(sent, took, used)

    def told(self, sent: int, took: float, used: float) -> dict[str, Any]:
        def at(status: int, q: float) -> float | None:
            found = self.times.get(status)
            return (
                None if not found else round(1000 * float(np.percentile([took for _, took in found], q)), 1)
            )

        good = np.array([took for _, took in self.times.get(200, [(0.0, 0.0)])])
        return {
            "due_a_second": round(sent / took),
            "accepted_a_second": round(len(self.times.get(200, [])) / took),
            "refused_a_second": round(len(self.times.get(503, [])) / took),
            "not_sent": self.not_sent,
            "accepted_p50_ms": at(200, 50),
            "accepted_p99_ms": at(200, 99),
            "accepted_max_ms": at(200, 100),
            "accepted_within_50_ms": round(float((good < 0.05).mean()), 4),
            "refused_p50_ms": at(503, 50),
            "refused_p99_ms": at(503, 99),
            **self.calm(),
            "other": {str(k): len(v) for k, v in self.times.items() if k not in (200, 503)}
            | Counter(lost=self.lost),
            "client_cores": round(used / took, 2),
            "client_late_p99_ms": round(1000 * float(np.percentile(self.late, 99)), 1),
        }

    def calm(self) -> dict[str, Any]:
        """What came of the requests whose whole time, from when they were due, lay in calm windows."""
        if len(self.waits) < 2:
            return {}
        at, *waits = np.array(self.waits).T
        length = np.diff(at)
        calm = np.all([np.diff(one) / length < CALM for one in waits], axis=0) & (length < 2 * WINDOW)
        ends = np.array(self.times.get(200, [(0.0, 0.0)]))
        first, last = (
            np.searchsorted(at, one, side="right") - 1 for one in (ends[:, 0] - ends[:, 1], ends[:, 0])
        )
        restless = np.concatenate([[0], np.cumsum(~calm)])
        inside = (first >= 0) & (last < len(calm))
        inside[inside] = restless[last[inside] + 1] == restless[first[inside]]
        took = 1000 * ends[inside, 1]
        told: dict[str, Any] = {"calm_windows": round(float(calm.mean()), 3), "calm_accepted": len(took)}
        if len(took):
            told |= {
                "calm_p50_ms": round(float(np.median(took)), 1),
                "calm_p99_ms": round(float(np.percentile(took, 99)), 1),
            }
        return told


def flood(
    port: int, asked: str, rate: float, seconds: float, connections: int, server: int | None = None
) -> dict[str, Any]:
    """Return what came of requests that were sent at `rate` a second; of the process `server` what kept it from running is looked at."""
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        runner = asyncio.run
    return runner(Load(port, asked, rate, seconds, connections, server).run())


def waited(pid: int) -> tuple[float, float]:
    """Return the seconds that a process' first thread has run, and those that it was ready and waited for a core."""
    run, ready, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(run) / 1e9, int(ready) / 1e9
