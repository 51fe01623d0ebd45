"""The history of metrics, and when to stop early; one rank looks and tells the others, so that all stop in one round."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

History = dict[str, dict[str, list[float]]]


@dataclass
class Watch:
    """Follows the metrics of a training, as LightGBM's `early_stopping` callback does.

    Parameters
    ----------
    patience : int, optional
        Stop when a validation metric has not improved for so many rounds. None: never.
    first_metric_only : bool
        Whether the first metric alone decides.
    min_delta : float
        How much better counts as better.
    """

    patience: int | None
    first_metric_only: bool = False
    min_delta: float = 0.0
    history: History = field(default_factory=dict)
    best: dict[str, tuple[float, int]] = field(default_factory=dict)
    best_iteration: int | None = None

    def record(self, iteration: int, results: list[tuple[str, str, float, bool]]) -> bool:
        """Note the results after `iteration` rounds and return whether to stop."""
        first = next((metric for data, metric, _, _ in results if data != "training"), None)
        stop = False
        for data, metric, value, higher in results:
            self.history.setdefault(data, {}).setdefault(metric, []).append(float(value))
            if data == "training" or self.patience is None or stop:
                continue
            better = value if higher else -value
            known = self.best.get(f"{data} {metric}")
            if known is None or math.isnan(known[0]) or better > known[0] + self.min_delta:
                self.best[f"{data} {metric}"] = known = (better, iteration)
            if self.first_metric_only and metric != first:
                continue
            if iteration - known[1] >= self.patience:
                self.best_iteration = known[1]
                stop = True
        return stop

    def finish(self) -> int | None:
        """Return the round to keep once training is over: that of the first metric's best, None without patience."""
        if self.patience is None or not self.best:
            return None
        if self.best_iteration is None:
            self.best_iteration = next(iter(self.best.values()))[1]
        return self.best_iteration

    def latest(self) -> dict[str, dict[str, float]]:
        """Return the newest value of each metric."""
        return {
            data: {m: values[-1] for m, values in metrics.items()} for data, metrics in self.history.items()
        }
