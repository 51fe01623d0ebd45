"""Which rows to add or to leave out: the cells of group and class that keep a group's share away from the others'."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from synml_dagster.balance.result import CellChange


def changes_of(column: str, label: str, groups: Sequence[tuple[str, int, int]]) -> list[CellChange]:
    """Return, by group, the rows that bring its share of the class to that of all other rows.

    Each change is of one cell alone: rows of the class or of the other classes, added where the group has too few of
    them or taken where it has too many. `gap_after` is what the column's largest difference between groups is then.

    Parameters
    ----------
    column, label
        Names for the result; rows of the other classes are called `not <label>`.
    groups
        (group, rows, rows of the class).

    Examples
    --------
    >>> [str(c.add or c.take) + " " + c.group + " " + c.label for c in changes_of("sex", "yes", [("f", 100, 20), ("m", 100, 40)])]
    ['34 f yes', '50 f not yes', '100 m not yes', '25 m yes']
    """
    n, hits = sum(rows for _, rows, _ in groups), sum(k for _, _, k in groups)
    before = _gap([k / rows for _, rows, k in groups])
    found: list[CellChange] = []
    for place, (group, rows, k) in enumerate(groups):
        others, other_hits = n - rows, hits - k
        if not others or k * others == other_hits * rows:
            continue
        rate = other_hits / others
        too_few = k / rows < rate
        # (add to, take from) by whether the cell is of the class: rows that make k' / rows' the others' rate.
        if too_few:
            add_class = None if rate >= 1 else ceil((rate * rows - k) / (1 - rate) - 1e-9)
            take_other = None if rate <= 0 else ceil(rows - k / rate - 1e-9)
            changes = [(True, add_class, None), (False, None, take_other)]
        else:
            add_other = None if rate <= 0 else ceil(k / rate - rows - 1e-9)
            take_class = None if rate >= 1 else ceil((k - rate * rows) / (1 - rate) - 1e-9)
            changes = [(False, add_other, None), (True, None, take_class)]
        for of_class, add, take in changes:
            if add is None and take is None:
                continue
            change = (add or 0) - (take or 0)
            left = rows + change
            if left <= 0:
                continue
            rates = [x / m for _, m, x in groups]
            rates[place] = (k + change * of_class) / left
            here = k if of_class else rows - k
            share = hits / n if of_class else 1 - hits / n
            found.append(
                CellChange(
                    column=column,
                    group=group,
                    label=label if of_class else f"not {label}",
                    rows=here,
                    expected=rows * share,
                    add=add,
                    take=take,
                    gap_before=before,
                    gap_after=_gap(rates),
                )
            )
    return found


def _gap(rates: Sequence[float]) -> float:
    return max(rates) - min(rates)
