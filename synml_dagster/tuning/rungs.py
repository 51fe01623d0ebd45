"""The rungs at which trials are compared, and what is kept of a trial there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

RUNGS = tuple(0.5 * 2.0**i for i in range(10))
"""Progress (rounds times learning rate) at which trials are compared: reports of every round would cost more than they save."""
_OTHERS = 4
"""How many have to have come to a rung before a trial is judged there; Optuna's MedianPruner waits for five trials."""

Curve = tuple[float, ...]
"""A trial's best metric up to each rung that it came to."""

Rule = Callable[[Curve], bool]
"""Says of a trial's curve so far whether the trial stops; asked once on each rung."""


class RungJudge:
    """Keeps a trial's curve and says when it has fallen behind.

    Parameters
    ----------
    maximize
        Whether more of the metric is better.
    rule
        Who says so; nobody where None.
    """

    def __init__(self, maximize: bool, rule: Rule | None = None) -> None:
        self._sign, self._rule = -1.0 if maximize else 1.0, rule
        self._best = float("inf")
        self._curve: list[float] = []

    def __call__(self, progress: float, value: float) -> bool:
        """Take the metric after a round and return whether to stop."""
        self._best = min(self._best, self._sign * value)
        stop = False
        while len(self._curve) < len(RUNGS) and progress >= RUNGS[len(self._curve)]:
            self._curve.append(self._sign * self._best)
            stop = stop or (self._rule is not None and self._rule(self.curve))
        return stop

    @property
    def curve(self) -> Curve:
        """The curve so far."""
        return tuple(self._curve)


def median_rule(others: Sequence[Curve], maximize: bool) -> Rule:
    """Return the rule that stops a trial which is worse than the median of `others` on the same rung.

    One of these that came less far keeps its last value on later rungs. Nothing stops before there are four.
    """
    sign = -1.0 if maximize else 1.0

    def behind(curve: Curve) -> bool:
        if len(others) < _OTHERS:
            return False
        rung = len(curve) - 1
        return sign * curve[-1] > median(sign * other[min(rung, len(other) - 1)] for other in others)

    return behind
