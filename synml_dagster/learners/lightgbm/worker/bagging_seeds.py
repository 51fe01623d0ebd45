"""Rows drawn by several ranks as one process would draw them.

LightGBM draws a bag in blocks of 1024 rows, each with a generator of its own that begins at `bagging_seed` plus the
block's number, and a rank counts blocks from its own first row. So ranks that were given the same seed would all draw
what the first one draws. Where ranks hold the table's rows in order and each begins with a block, a seed further on by
the blocks before it makes the drawn rows those of one process, whatever the number of ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synml_dagster.learners.lightgbm.objectives import NEEDS_MIXED_ROWS, objective_of

BLOCK = 1024
"""Rows that one of LightGBM's generators draws from."""
# The order in which LightGBM derives its seeds from `seed`.
_DERIVED = (
    "data_random_seed",
    "bagging_seed",
    "drop_seed",
    "feature_fraction_seed",
    "objective_seed",
    "extra_seed",
)
_DRAWN = ("bagging_seed", "feature_fraction_seed", "extra_seed")


def bags(params: Mapping[str, Any]) -> bool:
    """Return whether trees learn from bags of rows."""
    return _draws(params, "bagging_fraction") or draws_by_class(params)


def draws_by_class(params: Mapping[str, Any]) -> bool:
    """Return whether rows of the two classes are drawn at rates of their own."""
    return _draws(params, "pos_bagging_fraction") or _draws(params, "neg_bagging_fraction")


def block_of(params: Mapping[str, Any]) -> int:
    """Return of how many rows the pieces are that a rank's first row must lie between: 1 where it may be any."""
    return BLOCK if bags(params) and not wants_mixed_rows(params) else 1


def wants_mixed_rows(params: Mapping[str, Any]) -> bool:
    """Return whether each rank needs a fair part of all rows, because LightGBM looks at each rank's own rows alone."""
    return objective_of(params) in NEEDS_MIXED_ROWS


def rank_seeds(params: Mapping[str, Any], rows: Sequence[int], rank: int) -> dict[str, int]:
    """Return the seeds of `rank`, where the ranks hold `rows` rows each; every other seed is the same on all of them.

    A generator serves one block of rows, or (rank_xendcg) one query, so that no two ranks share one.
    """
    blocks = sum(-(-n // BLOCK) for n in rows[:rank])
    return {
        "bagging_seed": _seed(params, "bagging_seed") + blocks,
        "objective_seed": _seed(params, "objective_seed") + sum(rows[:rank]),
    }


def later_seeds(params: Mapping[str, Any], rounds: int) -> dict[str, int]:
    """Return the seeds of a training that goes on after `rounds` rounds.

    LightGBM's generators begin anew then; with the old seeds they would draw the rows and features of the first rounds
    again, and a forest would grow the same trees twice. The step keeps clear of the seeds of other ranks and blocks.
    """
    step = rounds * 1_000_003
    return {name: (_seed(params, name) + step) % 2**31 for name in _DRAWN}


def _draws(params: Mapping[str, Any], fraction: str) -> bool:
    return int(params.get("bagging_freq", 0)) > 0 and float(params.get(fraction, 1)) < 1


def _seed(params: Mapping[str, Any], name: str) -> int:
    """Return a seed as LightGBM derives it from `seed` (its own linear congruential generator), unless it was given."""
    if name in params:
        return int(params[name])
    state = int(params["seed"]) & 0xFFFFFFFF
    for _ in range(_DERIVED.index(name) + 1):
        state = (214013 * state + 2531011) & 0xFFFFFFFF
    return ((state >> 16) & 0x7FFF) % 0x7FFF
