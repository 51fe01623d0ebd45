"""How ranks find each other, stay in touch while they train, and learn at once when one of them fails or falls silent.

LightGBM's own sockets carry the histograms. Beside them each rank keeps one line to rank 0 for what LightGBM does not
say: that a rank lives, why one failed, and whether the next round is to be boosted.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

_BEAT = 1.0
_GRACE = 20.0


class PeerLostError(Exception):
    """Another rank died or fell silent; the barrier group has to start again."""


class RankFailedError(Exception):
    """Another rank failed with an error of its own, which it reports itself."""


def own_address(spark_host: str) -> str:
    """Return the IPv4 address under which other ranks reach this one.

    Spark's name for this executor decides: on a host with several interfaces it is the one Spark itself talks over.
    LightGBM finds its own place in the list of machines by its interfaces' addresses, so the address must be bound here.
    """
    candidates: list[str] = []
    with contextlib.suppress(OSError):
        candidates += [str(info[4][0]) for info in socket.getaddrinfo(spark_host, None, socket.AF_INET)]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET, never sent to: asks which interface leads out
        candidates.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        candidates += [
            str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        ]
    for address in [*candidates, "127.0.0.1"]:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
            return address
    raise OSError(f"none of the addresses {candidates} of this host can be bound")


def hold_port(address: str) -> socket.socket:
    """Bind a free port and hold it until just before LightGBM takes it."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.bind(("0.0.0.0" if not address.startswith("127.") else address, 0))
    return holder


class Line:
    """A rank's line to rank 0, and rank 0's lines to all; a thread beats on it and watches for silence.

    Parameters
    ----------
    rank, size : int
        This rank and how many there are.
    listener : socket
        Rank 0's listening socket; None on the others.
    address : tuple
        Where rank 0 listens.
    token : str
        A secret of this group; a stranger that connects is turned away.
    ports : set of int
        The ports of LightGBM's own network, to cut its connections when a rank is lost.
    silence : float
        Seconds without a beat after which a rank counts as lost.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        listener: socket.socket | None,
        address: tuple[str, int],
        token: str,
        ports: set[int],
        silence: float,
    ):
        self.rank, self.size, self.silence = rank, size, silence
        self._ports, self._token = ports, token
        self._lines: dict[int, socket.socket] = {}
        self._seen: dict[int, float] = {}
        self._done: set[int] = set()
        self._ready: set[int] = set()
        self._go = threading.Event()
        self._words: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.lost: str | None = None
        self.failed: str | None = None
        if listener is not None:
            self._accept_all(listener)
        else:
            self._connect(address)
        for other, line in self._lines.items():
            threading.Thread(
                target=self._listen, args=(other, line), daemon=True, name=f"synml-line-{other}"
            ).start()
        threading.Thread(target=self._beat, daemon=True, name="synml-beat").start()

    def decide(self, stop: bool) -> bool:
        """Return rank 0's decision whether to stop, the same on every rank; blocks on the others until it is made."""
        if self.rank == 0:
            self._send_all({"stop": stop})
            self.check()
            return stop
        while True:
            self.check()
            with contextlib.suppress(queue.Empty):
                return bool(self._words.get(timeout=0.2)["stop"])

    def wait_for_all(self) -> None:
        """Return when every rank has come here; raise what has become of one that does not.

        Inside LightGBM a rank that waits for another to connect hears of nothing.
        """
        if self.rank != 0:
            self._send_all({"ready": True})
        while not (self._go.is_set() if self.rank else len(self._ready) == self.size - 1):
            self.check()
            self._go.wait(0.05)
        if self.rank == 0:
            self._send_all({"go": True})

    def check(self) -> None:
        """Raise what has become of the other ranks, if anything has."""
        if self.failed is not None:
            raise RankFailedError(self.failed)
        if self.lost is not None:
            raise PeerLostError(self.lost)

    def fail(self, reason: str) -> None:
        """Tell the other ranks that this one has failed."""
        self._send_all({"error": f"rank {self.rank}: {reason}"})

    def verdict(self, seconds: float) -> Exception:
        """Return why LightGBM's network broke: another rank's own error where it comes within `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.failed is None:
            time.sleep(0.05)
        if self.failed is not None:
            return RankFailedError(self.failed)
        return PeerLostError(self.lost or "the connection to another rank broke")

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._send_all({"bye": True})
        self._over.set()
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)

    def _accept_all(self, listener: socket.socket) -> None:
        end = time.monotonic() + self.silence + 30
        listener.settimeout(1.0)
        while len(self._lines) < self.size - 1:
            if time.monotonic() > end:
                missing = sorted(set(range(1, self.size)) - set(self._lines))
                raise PeerLostError(f"ranks {missing} did not come to the meeting")
            with contextlib.suppress(TimeoutError):
                line, _ = listener.accept()
                line.settimeout(5.0)
                try:
                    hello = json.loads(_read_line(line))
                    if hello["token"] != self._token:
                        raise ValueError("a stranger")
                except (OSError, ValueError, KeyError):
                    line.close()
                    continue
                line.settimeout(None)
                self._lines[int(hello["rank"])] = line
        listener.close()

    def _connect(self, address: tuple[str, int]) -> None:
        end = time.monotonic() + self.silence + 30
        while True:
            try:
                line = socket.create_connection(address, timeout=5.0)
                break
            except OSError as problem:
                if time.monotonic() > end:
                    raise PeerLostError(
                        f"rank 0 at {address[0]}:{address[1]} cannot be reached: {problem}"
                    ) from problem
                time.sleep(0.2)
        line.settimeout(None)
        line.sendall((json.dumps({"rank": self.rank, "token": self._token}) + "\n").encode())
        self._lines[0] = line

    def _listen(self, other: int, line: socket.socket) -> None:
        self._seen[other] = time.monotonic()
        try:
            for word in _words(line):
                self._seen[other] = time.monotonic()
                if "error" in word:
                    self.failed = self.failed or str(word["error"])
                    if self.rank == 0:
                        self._send_all(word)
                    self._cut()
                elif "bye" in word:
                    self._done.add(other)
                elif "ready" in word:
                    self._ready.add(other)
                elif "go" in word:
                    self._go.set()
                elif "stop" in word:
                    self._words.put(word)
        except OSError:
            pass
        if other not in self._done and not self._over.is_set():
            self._lose(f"rank {other} ended without a word (its process was killed or its host is gone)")

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            self._send_all({"beat": True})
            for other, seen in list(self._seen.items()):
                if other not in self._done and time.monotonic() - seen > self.silence:
                    self._lose(f"rank {other} has not been heard of for {self.silence:.0f} s")
                    return

    def _lose(self, reason: str) -> None:
        self.lost = self.lost or reason
        self._cut()

    def _cut(self) -> None:
        """Break LightGBM's connections, so that a rank that waits inside LightGBM comes out with an error."""

        def cut() -> None:
            end = time.monotonic() + _GRACE
            while not self._over.wait(0.5):
                with contextlib.suppress(OSError):
                    _shut_down(self._ports)
                if time.monotonic() > end:
                    os._exit(70)  # still inside LightGBM: only the end of the process brings Spark to act

        threading.Thread(target=cut, daemon=True, name="synml-cut").start()

    def _send_all(self, word: dict[str, Any]) -> None:
        text = (json.dumps(word) + "\n").encode()
        with self._lock:
            for line in self._lines.values():
                with contextlib.suppress(OSError):
                    line.sendall(text)


def _words(line: socket.socket) -> Iterator[dict[str, Any]]:
    with line.makefile("rb") as lines:
        for text in lines:
            yield json.loads(text)


def _read_line(line: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        more = line.recv(1)
        if not more or len(text) > 4096:
            raise ValueError("no greeting")
        text += more
    return text


def _shut_down(ports: set[int]) -> None:
    """Shut down every connection of this process that begins or ends at one of LightGBM's ports."""
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as twin:
                if twin.family != socket.AF_INET or twin.type != socket.SOCK_STREAM:
                    continue
                if {twin.getsockname()[1], twin.getpeername()[1]} & ports:
                    twin.shutdown(socket.SHUT_RDWR)
