"""Trainings that are stopped half-way because others were better at that point."""

from __future__ import annotations

from collections.abc import Callable

Judge = Callable[[float, float], bool]
"""From progress and the metric that decides to whether to stop. Progress is rounds times learning rate: by rounds alone, slow learners would always be behind."""


class StoppedError(Exception):
    """A judge has stopped the training; what it has so far is thrown away.

    Parameters
    ----------
    rounds
        That it was trained for.
    value
        The metric there.
    """

    def __init__(self, rounds: int, value: float) -> None:
        super().__init__(f"stopped after {rounds} rounds at {value:.6g}")
        self.rounds, self.value = rounds, value
