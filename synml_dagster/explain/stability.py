"""How stable the order of features by importance is: what other samples of as many rows would have said, by a bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError

if TYPE_CHECKING:
    from synml_dagster.explain.explanations import Explanations

_SHARE = 0.95


@dataclass(frozen=True)
class StableImportance:
    """One feature's importance and place, with how far both move from sample to sample.

    Attributes
    ----------
    feature
        The feature.
    value, low, high
        Mean size of the SHAP value over the explained rows, outputs added up, and where 95% of the draws lie.
    rank, best, worst
        Its place, 1 for the most important, and the places that it has in 95% of the draws.
    """

    feature: str
    value: float
    low: float
    high: float
    rank: int
    best: int
    worst: int

    @property
    def steady(self) -> bool:
        """Whether it keeps its place in 95% of the draws."""
        return self.best == self.worst


def importance_stability(found: Explanations, *, draws: int = 400, seed: int = 0) -> list[StableImportance]:
    """Return the features with how stable their importance is, the most important first.

    Rows are drawn with replacement `draws` times. It says what other rows would do to the order of one model, and not what
    another training would.

    Raises
    ------
    ConfigError
        There are fewer than two draws.
    """
    if draws < 2:
        raise ConfigError(f"draws must be at least 2 but got {draws}.")
    size = np.abs(found.phi).sum(2, dtype=np.float64)
    if not len(size):
        return []
    names = list(found.importance)
    size = size[:, [found.features.index(name) for name in names]]
    means = _drawn_means(size, draws, seed)
    tail = (1 - _SHARE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    places = np.empty_like(means, dtype=np.int64)
    np.put_along_axis(
        places, np.argsort(-means, axis=1, kind="stable"), np.arange(1, len(names) + 1)[None], axis=1
    )
    best = np.quantile(places, tail, axis=0, method="inverted_cdf")
    worst = np.quantile(places, 1 - tail, axis=0, method="inverted_cdf")
    return [
        StableImportance(
            name, float(size[:, i].mean()), float(low[i]), float(high[i]), i + 1, int(best[i]), int(worst[i])
        )
        for i, name in enumerate(names)
    ]


def _drawn_means(size: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Means of rows drawn with replacement, [draws, features]; how often each row is drawn is all that counts."""
    rng, n = np.random.default_rng(seed), len(size)
    at_once = max(1, 8_000_000 // n)
    parts = []
    for start in range(0, draws, at_once):
        many = min(at_once, draws - start)
        parts.append(rng.multinomial(n, np.full(n, 1 / n), size=many) @ size / n)
    return np.concatenate(parts)
