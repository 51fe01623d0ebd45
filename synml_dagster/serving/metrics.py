"""Counters and histograms in Prometheus' text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable

Labels = tuple[tuple[str, str], ...]

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 10_000)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counter:
    """One series of a counter, for those that count it often."""

    __slots__ = ("_lock", "value")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self.value = lock, 0.0

    def add(self, value: float = 1) -> None:
        """Count `value` more."""
        with self._lock:
            self.value += value


class Histogram:
    """One series of a histogram, for those that count in it often."""

    __slots__ = ("_lock", "buckets", "counts", "total")

    def __init__(self, lock: threading.Lock, buckets: tuple[float, ...]) -> None:
        self._lock, self.buckets = lock, buckets
        self.counts = [0] * (len(buckets) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        with self._lock:
            self.counts[bisect_left(self.buckets, value)] += 1
            self.total += value

    def lines(self, name: str, key: Labels) -> list[str]:
        """Return it as Prometheus reads it."""
        below, lines = 0, []
        for limit, count in zip([*map(_number, self.buckets), "+Inf"], self.counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_labels((*key, ('le', limit)))} {below}")
        return [
            *lines,
            f"{name}_sum{_labels(key)} {_number(self.total)}",
            f"{name}_count{_labels(key)} {below}",
        ]


class Metrics:
    """What a server counts; `text` is what `/metrics` answers.

    Counted from several threads: a lock is taken for each count, which costs less than a microsecond.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, Counter]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._gauges: dict[str, Callable[[], Iterable[tuple[Labels, float]]]] = {}
        self._help: dict[str, str] = {}

    def describe(self, name: str, text: str) -> None:
        """Say in a line what `name` is."""
        self._help[name] = text

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Count `value` more."""
        self.counter(name, **labels).add(value)

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the series of a counter, which is there from now on."""
        key = tuple(labels.items())
        with self._lock:
            series = self._counters.setdefault(name, {})
            found = series.get(key)
            if found is None:
                found = series[key] = Counter(self._lock)
            return found

    def observe(self, name: str, value: float, buckets: tuple[float, ...], **labels: str) -> None:
        """Count one value in a histogram."""
        self.histogram(name, buckets, **labels).add(value)

    def histogram(self, name: str, buckets: tuple[float, ...], **labels: str) -> Histogram:
        """Return the series of a histogram, which is there from now on."""
        key = tuple(labels.items())
        with self._lock:
            series = self._histograms.setdefault(name, {})
            found = series.get(key)
            if found is None:
                found = series[key] = Histogram(self._lock, buckets)
            return found

    def gauge(self, name: str, ask: Callable[[], Iterable[tuple[Labels, float]]]) -> None:
        """Have `ask` say the values of `name` whenever they are read."""
        self._gauges[name] = ask

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's value, 0 where nothing was counted."""
        found = self._counters.get(name, {}).get(tuple(labels.items()))
        return 0 if found is None else found.value

    def text(self) -> str:
        """Return all of it as Prometheus reads it."""
        lines: list[str] = []
        with self._lock:
            for name, series in sorted(self._counters.items()):
                lines += self._head(name, "counter")
                lines += [
                    f"{name}{_labels(key)} {_number(found.value)}" for key, found in sorted(series.items())
                ]
            for name, histograms in sorted(self._histograms.items()):
                lines += self._head(name, "histogram")
                for key, found in sorted(histograms.items()):
                    lines += found.lines(name, key)
        for name, ask in sorted(self._gauges.items()):
            if values := list(ask()):
                lines += self._head(name, "gauge")
                lines += [f"{name}{_labels(key)} {_number(value)}" for key, value in values]
        return "\n".join(lines) + "\n"

    def _head(self, name: str, kind: str) -> list[str]:
        told = [f"# HELP {name} {self._help[name]}"] if name in self._help else []
        return [*told, f"# TYPE {name} {kind}"]


def _labels(key: Labels) -> str:
    if not key:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in key) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
