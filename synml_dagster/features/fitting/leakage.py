"""Names columns that are too good to be true or say the same thing twice; a person decides about them."""

from __future__ import annotations

import numpy as np

from synml_dagster.features.profile.column_sample import Seen

_ENOUGH = 50
_SAME = 0.99999
_MOST_COLUMNS = 2_000
_MOST_WARNINGS = 20


def leaks(seen: dict[str, Seen], label: np.ndarray, classes: int | None) -> list[str]:
    """Return a warning for each column that alone predicts the label in the sampled rows.

    Parameters
    ----------
    seen
        The columns' sampled values, row by row as in `label`.
    label
        float64 `[rows]`, the class index or the number.
    classes
        How many classes there are; None for a label of numbers.
    """
    return _some(
        [
            f"column {name!r} alone predicts the label in every sampled row; exclude it if it is not known at the time of predicting"
            for name, column in seen.items()
            if _tells(column, label, classes)
        ]
    )


def _some(warnings: list[str]) -> list[str]:
    """A wide table can have thousands; a person reads the first."""
    more = len(warnings) - _MOST_WARNINGS
    return warnings if more <= 0 else [*warnings[:_MOST_WARNINGS], f"and {more} more columns like these"]


def near_duplicates(seen: dict[str, Seen]) -> list[str]:
    """Return a warning for each column that says the same as an earlier one, in other words or on another scale."""
    out: list[str] = []
    first: dict[bytes, str] = {}
    named: set[str] = set()
    for name, column in seen.items():
        codes, distinct = _codes(column)
        if distinct < 2 or distinct > len(codes) / 2:
            continue
        key = codes.tobytes()
        if key in first:
            out.append(
                f"columns {first[key]!r} and {name!r} say the same, value for value; one of them can be excluded"
            )
            named.add(name)
        else:
            first[key] = name
    return _some(out + _correlated({n: c for n, c in seen.items() if n not in named}))


def _tells(column: Seen, label: np.ndarray, classes: int | None) -> bool:
    if column.numbers is not None:
        known = np.isfinite(column.numbers)
        values, y = column.numbers[known], label[known]
        if len(values) < _ENOUGH or 2 * len(values) < len(label) or len(np.unique(y)) < 2:
            return False
        if classes is None:
            return abs(_correlation(_ranks(values), _ranks(y))) >= _SAME
        if len(np.unique(y)) < min(classes, 2):
            return False
        order = np.lexsort((y, values))
        values, y = values[order], y[order]
        runs = 1 + int((y[1:] != y[:-1]).sum())
        mixed = bool(((values[1:] == values[:-1]) & (y[1:] != y[:-1])).any())
        return not mixed and runs <= len(np.unique(y))
    codes, distinct = _codes(column)
    if len(codes) < _ENOUGH or distinct < 2 or distinct > len(codes) / 5 or len(np.unique(label)) < 2:
        return False
    order = np.lexsort((label, codes))
    same_word = codes[order][1:] == codes[order][:-1]
    return not bool((same_word & (label[order][1:] != label[order][:-1])).any())


def _codes(column: Seen) -> tuple[np.ndarray, int]:
    """Number the values by their first row, so that two columns with the same pattern get the same numbers."""
    values = column.numbers if column.numbers is not None else column.strings
    assert values is not None
    if values.dtype == object:
        numbers: dict[str, int] = {}
        codes = np.array([numbers.setdefault(v, len(numbers)) for v in values], dtype=np.int32)
        return codes, len(numbers)
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    place = np.empty(len(unique), dtype=np.int32)
    place[np.argsort(first)] = np.arange(len(unique), dtype=np.int32)
    return place[inverse], len(unique)


def _correlated(seen: dict[str, Seen]) -> list[str]:
    names = [n for n, c in seen.items() if c.numbers is not None and np.isfinite(c.numbers).sum() >= _ENOUGH][
        :_MOST_COLUMNS
    ]
    if len(names) < 2:
        return []
    matrix = np.empty((len(names), len(seen[names[0]].numbers)), dtype=np.float32)  # type: ignore[arg-type]
    for i, name in enumerate(names):
        values = seen[name].numbers
        assert values is not None
        ranks = np.where(
            np.isfinite(values), _ranks(np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)), 0.0
        )
        missing = ~np.isfinite(values)
        ranks = np.where(missing, ranks[~missing].mean(), ranks)
        spread = ranks.std()
        matrix[i] = (ranks - ranks.mean()) / (spread * np.sqrt(len(ranks)) if spread else 1.0)
    alike = np.abs(matrix @ matrix.T)
    out = []
    for j in range(1, len(names)):
        near = np.flatnonzero(alike[j, :j] >= _SAME)
        if len(near):
            out.append(
                f"columns {names[near[0]]!r} and {names[j]!r} put all sampled rows in the same order; one of them can be excluded"
            )
    return out


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse = np.unique(values, return_inverse=True)
    return inverse.astype(np.float64)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
