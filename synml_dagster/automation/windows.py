"""Which whole windows of time, such as days, a sensor has still to ask for, and which of them one run takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

import dagster as dg

from synml_dagster.partitions import PartitionsSpec, keys_by_axis, newest
from synml_dagster.partitions.spec import CUT


@dataclass(frozen=True)
class Windows:
    """The windows of time that are over, and those of them that wait to be asked for.

    Of two dimensions a window is all keys of the other one at that time.

    Attributes
    ----------
    partitions
        All partitions in the order of their definition, each with its window.
    over
        All windows that are over, the newest last; there is at least one.
    waiting
        Those that came after the newest that was asked for or read, and were neither.
    """

    spec: PartitionsSpec
    partitions: dict[str, str]
    over: list[str]
    waiting: list[str]

    @property
    def end(self) -> str:
        """The newest window."""
        return self.over[-1]

    def last(self, back: int) -> list[str]:
        """Return the partitions of the newest `back` windows."""
        return self._of(self.over[-back:])

    def for_one_run(self, back: int, *, changed: bool) -> tuple[list[str], list[str]]:
        """Return the partitions of one run, and the windows that wait for the next one.

        The windows of a run follow each other, the newest come first, and there are no more of them than `per_run` allows. Where the source has
        `changed`, or the newest window waits, the newest `back` are among them.
        """
        wanted = set(self.waiting)
        if changed or self.end in wanted:
            wanted |= set(self.over[-back:])
        upto = max((i + 1 for i, window in enumerate(self.over) if window in wanted), default=0)
        taken = list(takewhile(wanted.__contains__, reversed(self.over[:upto])))
        if self.spec.per_run:
            each = len(self.partitions) // len(self.over)
            taken = taken[: max(self.spec.per_run // each, back if self.end in taken else 1)]
        return self._of(taken), [window for window in self.waiting if window not in taken]

    def _of(self, windows: Iterable[str]) -> list[str]:
        chosen = set(windows)
        return [key for key, window in self.partitions.items() if window in chosen]


def windows_of(
    context: dg.SensorEvaluationContext,
    spec: PartitionsSpec,
    reader: dg.AssetKey,
    upto: str | None,
    left: Iterable[str],
) -> Windows | None:
    """Return the windows that are over, None while there is none.

    Those wait that came after the window `upto` and have not been read, and those `left` of before. Where `upto` is no window, as at the first tick or
    after the description has cut time otherwise, it is the newest that `reader` has materialized; before it has any the newest window waits alone.
    """
    time = spec.of_time
    assert time is not None
    partitions = {str(key): keys_by_axis(spec, key)[time] for key in newest(spec, context, last=sys.maxsize)}
    over = list(dict.fromkeys(partitions.values()))
    if not over:
        return None
    place = {window: i for i, window in enumerate(over)}
    if upto in place:
        candidates = [window for window in left if window in place] + over[place[upto] + 1 :]
        read = _Read(context, spec, reader, partitions) if candidates else None
        return Windows(spec, partitions, over, [w for w in candidates if read and not read.whole(w)])
    read = _Read(context, spec, reader, partitions)
    begun = next((i for i in reversed(range(len(over))) if read.begun(over[i])), None)
    if begun is None:
        return Windows(spec, partitions, over, over[-1:])
    return Windows(spec, partitions, over, over[begun + read.whole(over[begun]) :])


class _Read:
    """What an asset has materialized, under the present cut of time: a day is no week of the same key."""

    def __init__(
        self,
        context: dg.SensorEvaluationContext,
        spec: PartitionsSpec,
        reader: dg.AssetKey,
        partitions: dict[str, str],
    ) -> None:
        self._context, self._spec, self._reader = context, spec, reader
        there = context.instance.get_materialized_partitions(reader)
        self._all: dict[str, list[str]] = {}
        self._made: dict[str, list[str]] = {}
        for key, window in partitions.items():
            self._all.setdefault(window, []).append(key)
            if key in there:
                self._made.setdefault(window, []).append(key)

    def begun(self, window: str) -> bool:
        """Whether one of the window's partitions was read."""
        return any(map(self._as_now, self._made.get(window, ())))

    def whole(self, window: str) -> bool:
        """Whether all of them were."""
        made = self._made.get(window, [])
        return len(made) == len(self._all[window]) and all(map(self._as_now, made))

    def _as_now(self, key: str) -> bool:
        latest = self._context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=self._reader, asset_partitions=[key]), limit=1
        ).records
        made = latest[0].asset_materialization if latest else None
        # What earlier releases have read does not say how time was cut.
        cut = made.metadata.get(CUT) if made is not None else None
        return made is not None and (cut is None or cut.value == self._spec.cut)
