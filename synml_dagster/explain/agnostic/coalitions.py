"""Which coalitions of players are asked, and the linear map from what they are worth to Shapley values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError

MOST_EXACT = 12
"""Up to so many players all coalitions are asked (4,096 at most), and the values are exact."""


@dataclass(frozen=True, eq=False)
class Coalitions:
    """Coalitions between the empty one and the whole, the same for all rows of as many players.

    Attributes
    ----------
    masks
        bool [coalitions, players], true where a player is in.
    weight
        float64 [coalitions], of the least squares: the Shapley kernel's mass that a coalition stands for.
    of_values, of_total
        float64 [players, coalitions] and [players]: Shapley values are `of_values @ (v - v0) + of_total * (v1 - v0)`,
        where v are the coalitions' worths, v0 that of none and v1 that of all.
    exact
        Whether all coalitions are there.
    """

    masks: NDArray[np.bool_]
    weight: NDArray[np.float64]
    of_values: NDArray[np.float64]
    of_total: NDArray[np.float64]
    exact: bool

    @property
    def players(self) -> int:
        """How many players there are."""
        return self.masks.shape[1]


def default_budget(players: int) -> int:
    """Return how many coalitions are asked where nobody says: as many as the `shap` package asks, 2 m + 2048."""
    return 2 * players + 2048


@lru_cache(maxsize=64)
def coalitions(players: int, budget: int | None = None, seed: int = 0) -> Coalitions:
    """Return the coalitions to ask.

    All of them up to `MOST_EXACT` players, or where the budget suffices. Else sizes are asked whole from the outside
    (single players and all but one, then pairs, ...) as far as the budget goes, for they weigh most, and the rest is
    drawn by the kernel's weight, each with its complement (paired sampling, Covert and Lee 2021).

    Parameters
    ----------
    players
        At least 1.
    budget
        Coalitions at most, beside none and all of the players; `default_budget` when None.
    seed
        Of the draw.

    Raises
    ------
    ConfigError
        The budget is too small to tell the players apart.
    """
    if players < 1:
        raise ConfigError("There are no players to share the prediction among.")
    budget = default_budget(players) if budget is None else budget
    everything = 2**players - 2 if players < 60 else None
    if players <= MOST_EXACT or (everything is not None and everything <= budget):
        return _all(players)
    if budget < 2 * players:
        raise ConfigError(
            f"budget: {players} players need at least {2 * players} coalitions to be told apart but got {budget}."
        )
    return _sampled(players, budget, seed)


def kernel_mass(players: int) -> NDArray[np.float64]:
    """Return the Shapley kernel's mass of all coalitions of each size 1..m-1, added up to 1 (Lundberg and Lee 2017).

    A coalition of size s weighs (m - 1) / (C(m, s) s (m - s)), so that all of one size weigh (m - 1) / (s (m - s)).
    """
    sizes = np.arange(1, players)
    mass = (players - 1) / (sizes * (players - sizes))
    return mass / mass.sum()


def _all(players: int) -> Coalitions:
    number = np.arange(1, 2**players - 1, dtype=np.int64)
    masks = (number[:, None] >> np.arange(players)) & 1 == 1
    size = masks.sum(1)
    # Shapley's own weights (1953): s!(m-s-1)!/m! of joining a coalition of size s; the same values as the least
    # squares give, without solving anything.
    joining = np.array([1 / (players * comb(players - 1, s)) for s in range(players)])
    of_values = np.where(
        masks, joining[size - 1][:, None], -joining[np.minimum(size, players - 1)][:, None]
    ).T
    of_total = np.full(players, joining[players - 1])
    # What is said of v - v0: the empty coalition's own share cancels, because each player's weights add up to 0.
    mass = kernel_mass(players) if players > 1 else np.zeros(0)
    each = np.array([mass[s - 1] / comb(players, s) for s in size]) if players > 1 else np.zeros(0)
    return Coalitions(masks, each, np.ascontiguousarray(of_values), of_total, True)


def _sampled(players: int, budget: int, seed: int) -> Coalitions:
    mass, rng = kernel_mass(players), np.random.default_rng(seed)
    found: list[NDArray[np.bool_]] = []
    weights: list[NDArray[np.float64]] = []
    left, size = budget, 1
    while size <= players // 2:
        half = 2 * size == players
        count = comb(players, size) * (1 if half else 2)
        if count > left:
            break
        inside = np.array(list(combinations(range(players), size)))
        masks = np.zeros((len(inside), players), dtype=np.bool_)
        np.put_along_axis(masks, inside, True, axis=1)
        block = masks if half else np.concatenate([masks, ~masks])
        found.append(block)
        both = mass[size - 1] * (1 if half else 2)
        weights.append(np.full(len(block), both / len(block)))
        left -= count
        size += 1
    rest = np.arange(size, players - size + 1)
    if left >= 2 and len(rest):
        drawn, counts = _pairs(players, rest, mass[rest - 1], left // 2, rng)
        share = mass[rest - 1].sum() / 2 * counts / counts.sum()
        found += [drawn, ~drawn]
        weights += [share, share]
    masks, weight = np.concatenate(found), np.concatenate(weights)
    return Coalitions(masks, weight, *_least_squares(masks, weight), exact=False)


def _pairs(
    players: int,
    sizes: NDArray[np.int64],
    mass: NDArray[np.float64],
    pairs: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Draw until there are so many different pairs of a coalition and its complement, and count how often each came."""
    seen: dict[bytes, int] = {}
    kept: list[NDArray[np.bool_]] = []
    counts: list[int] = []
    for _ in range(20):
        draws = max(64, pairs - len(kept))
        size = rng.choice(sizes, draws, p=mass / mass.sum())
        rank = rng.random((draws, players)).argsort(1).argsort(1)
        masks = rank < size[:, None]
        masks ^= ~masks[:, :1]  # of a pair, the one that the first player is in
        for mask, key in zip(masks, np.packbits(masks, axis=1), strict=True):
            place = seen.setdefault(key.tobytes(), len(kept))
            if place < len(kept):
                counts[place] += 1
            elif len(kept) < pairs:
                kept.append(mask)
                counts.append(1)
            else:
                seen.pop(key.tobytes())
        if len(kept) >= pairs:
            break
    return np.array(kept), np.array(counts, dtype=np.float64)


def _least_squares(
    masks: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve for all worths at once: weighted least squares of values that add up to the total."""
    Z = masks.astype(np.float64)
    weighted = Z * weight[:, None]
    inverse = np.linalg.pinv(Z.T @ weighted, hermitian=True)
    free = inverse @ weighted.T  # of the unconstrained problem
    toward = inverse.sum(1) / inverse.sum()
    return np.ascontiguousarray(free - np.outer(toward, free.sum(0))), toward
