"""Kernel SHAP: Shapley values of any game, exact for few players and by weighted least squares for more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain.agnostic.coalitions import coalitions
from synml_dagster.explain.agnostic.games import Game


class Shared(NamedTuple):
    """One prediction, shared among players.

    Attributes
    ----------
    values
        float64 [players, outputs]; they add up, from `base`, to what all players together are worth.
    base
        float64 [outputs], what none of the players is worth.
    r2
        float64 [outputs], how well a sum of the values says what the asked coalitions are worth: 1 where players do not
        interact; NaN where nothing varies.
    """

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    r2: NDArray[np.float64]


def shapley_values(game: Game, *, budget: int | None = None, seed: int = 0) -> Shared:
    """Return the Shapley values of a game's players (Lundberg and Lee 2017).

    Parameters
    ----------
    game
        Says what coalitions are worth.
    budget
        Coalitions to ask at most; 2 m + 2048 of m players when None. Up to 12 players all are asked.
    seed
        Of the coalitions that are drawn where not all are asked.

    Examples
    --------
    >>> from synml_dagster.explain.agnostic.games import FunctionGame
    >>> gloves = FunctionGame(3, lambda masks: (masks[:, 0] & (masks[:, 1] | masks[:, 2])).astype(float))
    >>> shapley_values(gloves).values[:, 0].round(4).tolist()
    [0.6667, 0.1667, 0.1667]
    """
    asked = coalitions(game.players, budget, seed)
    ends = np.array([[False], [True]]).repeat(game.players, 1)
    worth = game.values(np.concatenate([ends, asked.masks]))
    base, whole, worth = worth[0], worth[1], worth[2:]
    above = worth - base
    values = asked.of_values @ above + np.outer(asked.of_total, whole - base)
    return Shared(values, base, goodness(asked.masks, asked.weight, above, values))


def goodness(
    masks: NDArray[np.bool_],
    weight: NDArray[np.float64],
    worth: NDArray[np.float64],
    values: NDArray[np.float64],
    intercept: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Return the weighted R² by output of a sum of values for the coalitions' worth."""
    total = weight.sum()
    if not len(masks) or total <= 0:
        return np.full(values.shape[1], np.nan)
    off = worth - intercept - masks.astype(np.float64) @ values
    centred = worth - (weight @ worth) / total
    spread = weight @ centred**2
    size = weight @ worth**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-20 * np.maximum(size, 1e-300), 1 - (weight @ off**2) / spread, np.nan)
