"""How progress travels: rank 0 writes lines to a socket of the driver where it can reach one, and trains on where not."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from synml_dagster.learners.progress import Progress

_PACE = 1.0


class Listener:
    """The driver's ear: calls `on_progress` from a thread of its own, one call at a time.

    An exception that `on_progress` raises is kept in `problem`, and `stop` is set so that the training ends.
    """

    def __init__(self, on_progress: Callable[[Progress], None], hosts: list[str]):
        self.problem: BaseException | None = None
        self.stop = threading.Event()
        self.heard = 0
        self.token = secrets.token_hex(16)
        self._call = on_progress
        self._lock = threading.Lock()
        self._over = threading.Event()
        local = all(host.startswith("127.") for host in hosts)
        self._socket = socket.create_server(("127.0.0.1" if local else "0.0.0.0", 0))
        self._socket.settimeout(0.5)
        self.addresses = [(host, self._socket.getsockname()[1]) for host in hosts]
        self._thread = threading.Thread(target=self._serve, daemon=True, name="synml-progress")
        self._thread.start()

    def close(self) -> None:
        """Hear out what has arrived and stop listening."""
        self._over.set()
        self._thread.join(timeout=5)
        self._socket.close()

    def _serve(self) -> None:
        lines: list[threading.Thread] = []
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                line, _ = self._socket.accept()
                lines.append(threading.Thread(target=self._hear, args=(line,), daemon=True))
                lines[-1].start()
        for thread in lines:
            thread.join(timeout=2)

    def _hear(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), line, line.makefile("rb") as texts:
            if json.loads(texts.readline(4096))["token"] != self.token:
                return
            for text in texts:
                if self.stop.is_set():
                    return
                with self._lock:
                    self.heard += 1
                    try:
                        self._call(Progress(**json.loads(text)))
                    except BaseException as problem:
                        self.problem = problem
                        self.stop.set()


class Reporter:
    """Rank 0's voice; says something at most once a second and never holds the training up."""

    def __init__(self, addresses: list[tuple[str, int]], token: str, rounds: int, begun_at: int = 0):
        self._line: socket.socket | None = None
        self._rounds, self._from = rounds, begun_at
        self._started = time.monotonic()
        self._last = 0.0
        for address in addresses:
            with contextlib.suppress(OSError):
                self._line = socket.create_connection(address, timeout=2.0)
                self._line.settimeout(1.0)
                self._line.sendall((json.dumps({"token": token}) + "\n").encode())
                break

    def say(self, done: int, metrics: Callable[[], dict[str, dict[str, float]]], last: bool = False) -> None:
        """Report that `done` rounds are boosted."""
        now = time.monotonic()
        if self._line is None or (now - self._last < _PACE and not last and done != self._from + 1):
            return
        self._last = now
        seconds = now - self._started
        eta = 0.0 if last else seconds / max(1, done - self._from) * (self._rounds - done)
        said = Progress(done, self._rounds, metrics(), round(seconds, 3), round(eta, 3))
        try:
            self._line.sendall((json.dumps(asdict(said)) + "\n").encode())
        except OSError:
            self._line = None

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()


def driver_hosts(spark_driver_host: str | None, local: bool) -> list[str]:
    """Return the addresses of this process that ranks may try, the likeliest first."""
    if local:
        return ["127.0.0.1"]
    hosts = [spark_driver_host] if spark_driver_host else []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        hosts.append(probe.getsockname()[0])
    hosts.append(socket.gethostname())
    return list(dict.fromkeys(hosts))
