"""Judgements of the rows to score by the counts that drift is measured with: no row is read once more for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from synml_dagster.checks.drift import ColumnDrift, Drift
from synml_dagster.checks.drift_counts import unseen_values
from synml_dagster.checks.spec import NullsCheck, RangesCheck

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.features import FeaturePlan

_EXAMPLES = 5


def judge_nulls(found: Drift, spec: NullsCheck) -> tuple[bool, str, list[ColumnDrift]]:
    """Return whether no column misses values much more often than in training, a sentence, and the columns that do."""
    part = found.only(spec.columns)
    columns = [*part.columns, *part.presence]
    if found.rows < spec.minimum_rows:
        return True, f"{found.rows} rows are too few to tell; minimum_rows is {spec.minimum_rows}", []
    if untold := [name for name in spec.columns or () if name not in {c.column for c in columns}]:
        return False, f"of {', '.join(map(repr, untold))} the plan does not know what is missing", []
    bad = [c for c in columns if c.missing > c.missing_before + spec.rise]
    bad.sort(key=lambda c: c.missing_before - c.missing)
    if not bad:
        return True, f"{len(columns)} columns miss no more values than in training, but for {spec.rise:g}", []
    each = [f"{c.column!r} in {c.missing:.1%} of the rows (training: {c.missing_before:.1%})" for c in bad]
    return False, f"values are missing: {_listed(each)}", bad


def judge_ranges(
    found: Drift, spec: RangesCheck, tables: Iterable[DataFrame], plan: FeaturePlan
) -> tuple[bool, str, list[tuple[ColumnDrift, list[str]]]]:
    """Return whether values are where training rows had some, a sentence, and each bad column with examples of values.

    The examples are the only rows that are read for it, and only where the check fails.
    """
    part = found.only(spec.columns)
    if found.rows < spec.minimum_rows:
        return True, f"{found.rows} rows are too few to tell; minimum_rows is {spec.minimum_rows}", []
    if (why := part.not_told()) is not None:
        return False, why, []
    columns = [c for c in part.columns if c.outside is not None or c.new is not None]
    bad = [c for c in columns if (c.outside or c.new or 0) > spec.share * c.rows]
    bad.sort(key=lambda c: -(c.outside or c.new or 0))
    if not bad:
        untold = [repr(c.column) for c in part.columns if c not in columns]
        more = f"; not all training words are known of {_listed(untold)}" if untold else ""
        return True, f"the values of {len(columns)} columns are where training rows had some{more}", []
    values = unseen_values(tables, plan, [c.column for c in bad[:20]], _EXAMPLES)
    each = [(c, values.get(c.column, [])) for c in bad]
    words = [
        f"{c.column!r} in {c.outside if c.numeric else c.new} rows, such as {', '.join(v)}" for c, v in each
    ]
    return False, f"values that no training row is near: {_listed(words)}", each


def _listed(parts: Sequence[str], most: int = 5) -> str:
    return "; ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
