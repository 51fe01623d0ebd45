"""Judgements by facts that were recorded when a table was written: its columns, and how many rows it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from synml_dagster.checks.spec import RowCountCheck, SchemaCheck

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan


def judge_columns(
    there: Mapping[str, str], plan: FeaturePlan, spec: SchemaCheck
) -> tuple[bool, str, list[tuple[str, str, str, str]]]:
    """Compare a table's columns with those of the table that a plan was fitted on.

    Parameters
    ----------
    there
        SQL type by column.

    Returns
    -------
    Whether the check passes, a sentence, and a line for each change: column, type then, type now, what it means.
    """
    then = {c.input.path[0]: c.input.spark_type for c in plan.columns if len(c.input.path) == 1}
    nested = {c.input.path[0] for c in plan.columns if len(c.input.path) > 1}
    types = {s.column: s.type for s in plan.statistics}
    known = {*then, *nested, *(d.column for d in plan.dropped), plan.label.column}
    known |= {c.name for c in (plan.weight, plan.group) if c is not None}
    gone = [c for c in [*then, *sorted(nested)] if c not in there]
    changed = [c for c, kind in then.items() if c in there and there[c] != kind]
    new = [c for c in there if c not in known]
    unused = [d.column for d in plan.dropped if d.column not in there and "." not in d.column]
    lines = [(c, then.get(c, "struct"), "-", "gone, and the champion uses it") for c in gone]
    lines += [(c, then[c], there[c], "has another type") for c in changed]
    lines += [(c, "-", there[c], "new") for c in new]
    lines += [(c, types.get(c, "?"), "-", "gone; no feature was made of it") for c in unused]
    bad = [
        *(f"{c!r} is gone" for c in gone),
        *(f"{c!r} is {there[c]} and was {then[c]}" for c in changed),
        *(f"{c!r} is new" for c in new if not spec.new_columns),
    ]
    allowed = [f"{c!r} is new" for c in new] if spec.new_columns else []
    more = f"; {_listed(allowed)}, which is allowed" if allowed else ""
    if bad:
        return False, f"columns changed since the champion learnt: {_listed(bad)}{more}", lines
    return True, f"the {len(known & set(there))} columns are those that the champion learnt from{more}", lines


def judge_each(
    each: Mapping[str | None, Mapping[str, str]], plan: FeaturePlan, spec: SchemaCheck
) -> tuple[bool, str, list[tuple[str, ...]]]:
    """Judge the columns of each partition, or of the whole table under None, and name the partitions that differ.

    Partitions with the same columns and types are judged once, so that a year of days costs no more than a day.

    Returns
    -------
    Whether all pass, a sentence, and the lines of `judge_columns`; where partitions differ each says which it is about.
    """
    alike: dict[tuple[tuple[str, str], ...], list[str | None]] = {}
    for key, there in each.items():
        alike.setdefault(tuple(there.items()), []).append(key)
    judged = [(keys, *judge_columns(dict(there), plan, spec)) for there, keys in alike.items()]
    passed = all(good for _, good, _, _ in judged)
    told = [(keys, said) for keys, good, said, _ in judged if good == passed]
    if passed and len(judged) == 1:
        said = told[0][1]
    else:
        said = "; ".join(f"{_partitions(keys)}{said}" for keys, said in told[:5])
        said += f"; and {len(told) - 5} more kinds of columns" if told[5:] else ""
    lines: list[tuple[str, ...]] = []
    for keys, _, _, changes in judged:
        where = (_partitions(keys).removesuffix(": "),) if len(judged) > 1 else ()
        lines += [(*change, *where) for change in changes]
    return passed, said, lines


def _partitions(keys: Sequence[str | None]) -> str:
    named = [repr(key) for key in keys if key is not None]
    return f"{_listed(named, 3)}: " if named else ""


def judge_row_counts(
    counts: Mapping[str | None, int],
    before: Mapping[str | None, Sequence[int]],
    spec: RowCountCheck,
    nothing: str = "nothing was read before",
) -> tuple[bool, str]:
    """Compare row counts, by partition or under None, with earlier ones; without any it passes and says `nothing`.

    Examples
    --------
    >>> judge_row_counts({None: 40}, {None: [100, 102, 98]}, RowCountCheck())
    (False, '40 rows, and 100 are usual (0.4 times; 0.5 to 2 times are expected)')
    """
    bad: list[str] = []
    said: list[str] = []
    for key, rows in counts.items():
        earlier = list(before.get(key, ()))[: spec.history]
        where = f"{key!r}: " if key is not None else ""
        if not earlier:
            said.append(f"{where}{rows} rows, and {nothing}")
            continue
        usual = median(earlier)
        times = rows / usual if usual else (1.0 if rows == 0 else float("inf"))
        line = f"{where}{rows} rows, and {usual:g} are usual ({times:.3g} times; {spec.at_least:g} to {spec.at_most:g} times are expected)"
        (said if spec.at_least <= times <= spec.at_most else bad).append(line)
    return not bad, _listed(bad or said)


def _listed(parts: Sequence[str], most: int = 5) -> str:
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
