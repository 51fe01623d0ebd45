"""How far the groups' shares are from a reference, and how unequal groups are in all; closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from synml_dagster.errors import ConfigError, did_you_mean

DISTRIBUTION_MEASURES: dict[str, str] = {
    "kl_divergence": "sum of p log(p / q), Kullback and Leibler; in nats",
    "js_distance": "root of the Jensen-Shannon divergence, in nats",
    "infinity_norm": "largest difference of a share",
    "total_variation": "half the sum of the differences of shares",
    "wasserstein": "numbers: the first Wasserstein distance, in the column's unit; words: the same with distance 1 between any two, which is the total variation",
    "chi_square": "Pearson's statistic against the reference",
    "chi_square_p": "its p-value, groups less one degrees of freedom",
}
"""Name -> formula; p are the shares in the table, q those of the reference."""

DISTRIBUTION_NOTES: dict[str, str] = {
    "wasserstein": "SynapseML's is the mean difference of a share, which depends on how many groups there are and is no Wasserstein distance of the two.",
    "chi_square_p": "SynapseML returns 1 where a group is impossible in the reference; this is 0.",
    "all": "SynapseML leaves out groups that the reference has and the table has not.",
}
"""Where SynapseML's formula differs."""


def distribution_distance(
    groups: Sequence[str],
    rows: Sequence[int],
    reference: Mapping[str, float] | None,
    *,
    numeric: bool = False,
) -> tuple[list[float], dict[str, float | None], dict[str, str]]:
    """Return the reference's shares of the groups, the measures, and the reasons of those that are None.

    Parameters
    ----------
    groups, rows
        The groups and how many rows each has; a group of the reference that has none is among them, with 0.
    reference
        Share by group, which add up to 1; uniform when None.
    numeric
        Whether groups are numbers, which lie on a line.
    """
    n, k = sum(rows), len(groups)
    p = np.array(rows, dtype=np.float64) / n
    q = np.full(k, 1 / k) if reference is None else np.array([reference.get(g, 0.0) for g in groups])
    found: dict[str, float | None] = {
        "kl_divergence": _relative_entropy(p, q),
        "js_distance": sqrt(
            max(0.0, (_relative_entropy(p, (p + q) / 2) + _relative_entropy(q, (p + q) / 2)) / 2)
        ),
        "infinity_norm": float(np.abs(p - q).max()),
        "total_variation": float(np.abs(p - q).sum() / 2),
    }
    found["wasserstein"] = _on_a_line(groups, p, q) if numeric else found["total_variation"]
    why: dict[str, str] = {}
    impossible = [g for g, share, expected in zip(groups, p, q, strict=True) if share > 0 and expected <= 0]
    if impossible:
        found["kl_divergence"] = found["chi_square"] = None
        why["kl_divergence"] = why["chi_square"] = (
            f"group {impossible[0]!r} has rows and no share of the reference"
        )
        found["chi_square_p"] = 0.0
    else:
        from scipy.stats import chi2

        used = q > 0
        statistic = float((n * (p[used] - q[used]) ** 2 / q[used]).sum())
        found["chi_square"] = statistic
        found["chi_square_p"] = float(chi2.sf(statistic, int(used.sum()) - 1))
    return q.tolist(), found, why


def checked_reference(column: str, reference: Mapping[str, float], groups: Sequence[str]) -> dict[str, float]:
    """Return a reference by group whose shares add up to 1.

    Raises
    ------
    ConfigError
        A share is negative, they do not add up to 1, or none of the groups is in it.
    """
    shares = {str(k): float(v) for k, v in reference.items()}
    if any(not 0 <= v <= 1 for v in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(
            f"balance: the reference shares of {column!r} must be from 0 to 1 and add up to 1 but add up to {sum(shares.values()):.6g}."
        )
    if not set(shares) & set(groups):
        first = next(iter(shares))
        raise ConfigError(
            f"balance: none of the groups in the reference of {column!r} is in the table, such as {first!r}.{did_you_mean(first, groups)}"
        )
    return shares


def aggregate(rows: ArrayLike, epsilon: float = 1.0) -> dict[str, float]:
    """Return how unequal in size groups are: Atkinson's index (1970), Theil's T and L (1967), 0 where all are equal.

    Parameters
    ----------
    rows
        Rows by group, all above 0.
    epsilon
        Atkinson's aversion to inequality, 0 for none.

    Examples
    --------
    >>> {name: round(value, 4) for name, value in aggregate([4, 3, 2]).items()}
    {'atkinson': 0.0385, 'theil_t': 0.0378, 'theil_l': 0.0393}
    """
    if epsilon < 0:
        raise ConfigError(f"balance: epsilon of Atkinson's index must be at least 0 but got {epsilon}.")
    sizes = np.asarray(rows, dtype=np.float64)
    x = sizes / sizes.mean()
    if abs(1 - epsilon) < 1e-12:
        atkinson = 1 - exp(float(np.log(x).mean()))
    else:
        atkinson = 1 - float((x ** (1 - epsilon)).mean()) ** (1 / (1 - epsilon))
    return {
        "atkinson": atkinson,
        "theil_t": float((x * np.log(x)).mean()),
        "theil_l": float(-np.log(x).mean()),
    }


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    return float(
        sum((a * log(a / b) if b > 0 else inf) for a, b in zip(p.tolist(), q.tolist(), strict=True) if a > 0)
    )


def _on_a_line(groups: Sequence[str], p: np.ndarray, q: np.ndarray) -> float | None:
    """The area between two cumulative distributions over numbers; rows without a number have no place on the line."""
    places = np.array([_number(g) for g in groups])
    known = np.isfinite(places)
    a, b = p[known], q[known]
    if not a.sum() or not b.sum():
        return None
    order = np.argsort(places[known])
    x = places[known][order]
    gap = np.cumsum(a[order] / a.sum() - b[order] / b.sum())[:-1]
    return float((np.abs(gap) * np.diff(x)).sum())


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")
