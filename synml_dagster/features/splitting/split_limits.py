"""The training side of a split, told without Spark. Runs on executors: numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class SplitLimits(NamedTuple):
    """The limits of a split, one or one per class, and the classes of the label; as in `SplitPlan` and `LabelPlan`."""

    by: str
    test: list[float]
    validation: list[float]
    classes: list[str] | None

    def trains(self, places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return, as bool `[rows]`, whether rows are on the training side; see `numbers`."""
        return self.numbers(places, labels) == 0

    def numbers(self, places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the side of each row as `split` has it: its number in `SPLITS`, int8 `[rows]`.

        Parameters
        ----------
        places
            Positions, float64.
        labels
            float64: the index of each row's class, where the label has classes.
        """
        first, second = np.array(self.test), np.array(self.validation)
        if len(self.test) > 1 and self.classes is not None:
            at = labels.astype(np.int64)
            first, second = first[at], second[at]
        else:
            first, second = first[:1], second[:1]
        if self.by == "time":  # a row without a time is older than all others
            later, earlier = places >= first, places >= second
        else:
            later, earlier = places < first, places < second
        return np.where(later, 2, np.where(earlier, 1, 0)).astype(np.int8)
