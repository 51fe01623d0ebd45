"""When a trial is stopped half-way: at rungs, where it is worse than the median of those that came that far."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

RUNGS = tuple(0.5 * 2.0**i for i in range(10))
"""Progress (rounds times learning rate) at which trials are compared: reports of every round would cost more than they save."""
_OTHERS = 4
"""How many have to have come to a rung before a trial is judged there; Optuna's MedianPruner waits for five trials."""

Curve = tuple[float, ...]
"""A trial's best metric up to each rung that it came to."""


class RungJudge:
    """Keeps a trial's curve and says when it has fallen behind.

    Parameters
    ----------
    others
        Curves of trials of the same family that have ended. One that stopped early by itself keeps its last value on
        later rungs.
    maximize
        Whether more of the metric is better.
    judges
        Whether it says stop at all; otherwise it keeps the curve.
    """

    def __init__(self, others: Sequence[Curve], maximize: bool, judges: bool = True) -> None:
        self._others, self._sign, self._judges = [c for c in others if c], -1.0 if maximize else 1.0, judges
        self._best = float("inf")
        self._rung = 0
        self._curve: list[float] = []

    def __call__(self, progress: float, value: float) -> bool:
        """Take the metric after a round and return whether to stop."""
        self._best = min(self._best, self._sign * value)
        stop = False
        while self._rung < len(RUNGS) and progress >= RUNGS[self._rung]:
            self._curve.append(self._sign * self._best)
            stop = stop or (self._judges and self._behind(self._rung))
            self._rung += 1
        return stop

    @property
    def curve(self) -> Curve:
        """The curve so far."""
        return tuple(self._curve)

    def _behind(self, rung: int) -> bool:
        if len(self._others) < _OTHERS:
            return False
        return self._best > median(self._sign * curve[min(rung, len(curve) - 1)] for curve in self._others)
