"""LIME: a sparse linear model of what coalitions near the whole row are worth (Ribeiro, Singh and Guestrin 2016)."""

from __future__ import annotations

from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError
from synml_dagster.explain.agnostic.games import Game
from synml_dagster.explain.agnostic.kernel_shap import Shared, goodness

TEXT_WIDTH = 25.0
"""Kernel width for text, in percent of the cosine distance, as the paper's authors have it."""


def table_width(players: int) -> float:
    """Return the kernel width for tables, as the paper's authors have it: 0.75 sqrt(m), of the Euclidean distance."""
    return 0.75 * sqrt(players)


def lime_weights(
    game: Game,
    *,
    samples: int = 5000,
    features: int = 10,
    distance: Literal["euclidean", "cosine"] = "euclidean",
    width: float | None = None,
    seed: int = 0,
) -> Shared:
    """Return the weights of LIME's linear model.

    Coalitions are drawn as in the paper: first how many players are out, uniformly, then which. Each is weighted by
    sqrt(exp(-d² / width²)) of its distance d from the whole row. K-LASSO: the lasso's path names the players, least squares
    weighs them; the other players weigh nothing.

    Parameters
    ----------
    game
        Says what coalitions are worth; one that replaces a player by a background's value draws one row of it each time.
    samples
        How many coalitions are drawn.
    features
        The most players that get a weight.
    distance, width
        `euclidean` with 0.75 sqrt(m) for tables, `cosine` (in percent) with 25 for text.
    seed
        Of the draws.

    Raises
    ------
    ConfigError
        There are fewer samples than players, or no features are asked for.

    Returns
    -------
    Shared
        `base` is the linear model's intercept: values do not add up to the prediction, and `r2` says how well they do.
    """
    players = game.players
    if features < 1:
        raise ConfigError(f"features must be at least 1 but got {features}.")
    if samples <= players:
        raise ConfigError(f"samples: {players} players need more than {players} samples but got {samples}.")
    rng = np.random.default_rng(seed)
    out = rng.integers(1, players + 1, samples)
    out[0] = 0  # the row itself
    masks = rng.random((samples, players)).argsort(1).argsort(1) >= out[:, None]
    worth = game.drawn(masks, rng)
    away = _distance(masks, distance)
    width = width if width is not None else table_width(players) if distance == "euclidean" else TEXT_WIDTH
    weight = np.sqrt(np.exp(-(away**2) / width**2))
    Z = masks.astype(np.float64)
    outputs = worth.shape[1]
    values, base = np.zeros((players, outputs)), np.zeros(outputs)
    root = np.sqrt(weight)[:, None]
    for j in range(outputs):
        chosen = _k_lasso(Z, worth[:, j], weight, min(features, players))
        design = np.column_stack([np.ones(samples), Z[:, chosen]])
        found = np.linalg.lstsq(design * root, worth[:, j] * root[:, 0], rcond=None)[0]
        base[j], values[chosen, j] = found[0], found[1:]
    return Shared(values, base, goodness(masks, weight, worth, values, base))


def _distance(masks: NDArray[np.bool_], distance: str) -> NDArray[np.float64]:
    inside, players = masks.sum(1), masks.shape[1]
    if distance == "euclidean":
        return np.sqrt(players - inside)
    # Cosine between a row of zeros and ones and the row of ones is sqrt(inside / players).
    return 100 * (1 - np.sqrt(inside / players))


def _k_lasso(
    Z: NDArray[np.float64], worth: NDArray[np.float64], weight: NDArray[np.float64], most: int
) -> NDArray[np.intp]:
    """The players that the lasso's path takes in before there are more than `most`."""
    if Z.shape[1] <= most:
        return np.arange(Z.shape[1])
    from sklearn.linear_model import lars_path

    root = np.sqrt(weight)
    centred = (Z - weight @ Z / weight.sum()) * root[:, None]
    target = (worth - weight @ worth / weight.sum()) * root
    _, _, path = lars_path(centred, target, method="lasso")
    for column in range(path.shape[1] - 1, -1, -1):
        chosen = np.flatnonzero(path[:, column])
        if len(chosen) <= most:
            return chosen
    return np.zeros(0, dtype=np.intp)
