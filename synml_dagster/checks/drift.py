"""Drift: how far the rows to score are, column by column, from the rows that a model was trained on.

The reference is what the model's plan keeps of its training rows, so no training row is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.balance import distribution_distance
from synml_dagster.checks.drift_counts import (
    ABOVE,
    BELOW,
    INFINITE,
    MISSING,
    NEW,
    OTHER,
    Watched,
    count_bins,
    watch,
    watch_presence,
)
from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.features.kinds import DatetimeColumn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pyspark.sql import DataFrame

    from synml_dagster.features import FeaturePlan

DRIFTED_IMPORTANCE = "importance of drifted columns"
"""Metadata of the check's result: the drifted columns' part of the model's importance, where the model tells it."""

NO_DISTRIBUTION = "free text, arrays, numbers and dates that are written as text, or a plan that an earlier version fitted (train again)"
"""Of what a plan keeps no distribution."""

_CERTAIN = 0.999


class DriftSpec(BaseModel):
    """The `drift` part of a description: how far the rows to score may be from the training rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    psi: float = Field(
        default=0.2,
        gt=0,
        description="Population stability index above which a column has drifted; 0.1 is usually called small, 0.25 large.",
    )
    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Raw columns to compare; where absent all that the champion's features are made of, but dates and times, which move by nature.",
    )
    minimum_rows: int = Field(
        default=500, ge=1, description="Below so many rows to score nothing is said, and the check passes."
    )
    severity: Literal["warn", "error"] = Field(
        default="warn", description="How a failure is shown; a blocking check is an error."
    )
    blocking: bool = Field(
        default=False,
        description="Whether rows that drifted are not scored: the predictions of before stay. Needs severity error.",
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> DriftSpec:
        if self.blocking and self.severity == "warn":
            raise ValueError("drift.blocking needs drift.severity: error; a warning ends nothing")
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("drift.columns names a column twice; keep one")
        return self


class ColumnDrift(BaseModel):
    """One raw column in the rows to score against the training rows.

    `bins` name the parts that both are counted by, `expected` and `found` are their shares (they add up to 1) of the
    training rows and of the rows to score.
    """

    model_config = ConfigDict(extra="forbid")

    column: str
    numeric: bool
    rows: int
    bins: list[str]
    expected: list[float]
    found: list[float]
    psi: float
    chance: float = Field(
        description="What the index of rows without drift stays below in 999 of 1000 cases."
    )
    js_distance: float
    ks: float | None = Field(description="Kolmogorov and Smirnov's distance, of numbers.")
    missing_before: float
    missing: float
    outside: int | None = Field(
        description="Rows below the least or above the greatest training value, infinite ones where no training row was."
    )
    new: int | None = Field(
        description="Rows whose word no training row has; None where that cannot be told."
    )
    importance: float | None = Field(default=None, description="The column's part of the model's importance.")
    moves: bool = Field(default=False, description="Whether it holds dates or times, which move by nature.")

    def drifted(self, psi: float) -> bool:
        """Whether the index exceeds `psi` and what chance explains."""
        return self.psi > max(psi, self.chance)


class Drift(BaseModel):
    """All columns that were compared, the one that moved most first, and why others were not."""

    model_config = ConfigDict(extra="forbid")

    rows: int
    columns: list[ColumnDrift]
    notes: list[str]
    comparable: bool = Field(
        default=True, description="Whether the plan keeps the distribution of any column."
    )
    without: list[str] = Field(
        default_factory=list, description="Columns whose distribution the plan does not keep."
    )
    presence: list[ColumnDrift] = Field(
        default_factory=list, description="Of those, the ones whose missing values were counted."
    )
    refused: list[str] = Field(
        default_factory=list, description="Of those, the ones that were asked for by name."
    )

    def only(self, columns: Sequence[str] | None) -> Drift:
        """Return what is about these columns; all but dates and times where None."""
        kept = [c for c in self.columns if (not c.moves if columns is None else c.column in columns)]
        beside = [c for c in self.presence if columns is None or c.column in columns]
        refused = [name for name in columns or () if name in self.without]
        comparable = bool(kept) if self.rows else self.comparable
        return self.model_copy(
            update={"columns": kept, "presence": beside, "refused": refused, "comparable": comparable}
        )

    def not_told(self) -> str | None:
        """Return why nothing can be said of a column that was asked for, or of any at all; None where it can."""
        if self.refused:
            names = ", ".join(map(repr, self.refused))
            return f"{names} cannot be compared: the plan keeps no distribution of {NO_DISTRIBUTION}"
        why = "; ".join(self.notes) or "all of them are dates and times, which move by nature"
        return None if self.comparable else f"no column could be compared: {why}"

    def drifted(self, spec: DriftSpec) -> list[ColumnDrift]:
        """Return the columns that exceed what `spec` allows; none where there are too few rows to say."""
        return [c for c in self.columns if c.drifted(spec.psi)] if self.rows >= spec.minimum_rows else []

    def passed(self, spec: DriftSpec) -> bool:
        """Whether nothing drifted, or there are too few rows to say; not where a column that was asked for, or all, cannot be compared."""
        return self.not_told() is None and not self.drifted(spec)

    def said(self, spec: DriftSpec) -> str:
        """Return the outcome in a sentence."""
        if (why := self.not_told()) is not None:
            return why
        if self.rows < spec.minimum_rows:
            return f"{self.rows} rows to score are too few to tell drift; drift.minimum_rows is {spec.minimum_rows}"
        moved = self.drifted(spec)
        if not moved:
            most = self.columns[0]
            return f"{len(self.columns)} columns are as in training; the largest index is {most.psi:.3g} ({most.column!r})"
        names = ", ".join(f"{c.column!r} ({c.psi:.3g})" for c in moved[:5]) + (
            f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        )
        return (
            f"{len(moved)} of {len(self.columns)} columns have a stability index above {spec.psi:g}: {names}"
        )


def check_columns(plan: FeaturePlan, columns: Sequence[str] | None, key: str = "drift") -> None:
    """Refuse columns that no feature of `plan` is made of; `key` is the description's word for who names them.

    Raises
    ------
    ConfigError
        With the first such column, and why it gives no feature where the plan says so.
    """
    known = [c.name for c in plan.columns]
    reasons = {d.column: d.reason for d in plan.dropped}
    for name in columns or ():
        if name not in known:
            why = f" ({reasons[name]})" if name in reasons else ""
            raise ConfigError(
                f"{key}.columns names {name!r}, which no feature of the model is made of{why}.{did_you_mean(name, known)}"
            )


def measure_drift(
    tables: Iterable[DataFrame],
    plan: FeaturePlan,
    columns: Sequence[str] | None = None,
    importance: Mapping[str, float] | None = None,
    *,
    named: Sequence[str] = (),
    presence: bool = False,
) -> Drift:
    """Compare rows to score with the training rows of `plan`; one job of Spark a table, classic or Connect.

    Parameters
    ----------
    tables
        The rows to score, in one table or several that are taken together.
    columns
        Raw columns by name; all but dates and times where None.
    importance
        The model's importance by feature, to tell how much a column matters.
    named
        Columns that are compared, too, where `columns` is None: dates and times among them.
    presence
        Whether missing values are counted in columns whose distribution the plan does not keep.

    Raises
    ------
    ConfigError
        `columns` names what no feature is made of.
    DataError
        A table lacks a column, or has it in a type whose values are never the plan's.
    """
    check_columns(plan, columns)
    watched, without, notes = _watched(plan, columns, named)
    stats = {s.column: s for s in plan.statistics}
    unknown = [c for c in plan.columns if presence and c.name in without and c.name in stats]
    beside = [one for c in unknown if (one := watch_presence(c, stats[c.name])) is not None]
    counting = [*watched, *beside]
    counted: dict[str, Counter[int]] = {w.column.name: Counter() for w in counting}
    rows = 0
    for table in tables:
        if not counting:
            break
        for name, counts in count_bins(table, plan, counting).items():
            counted[name].update(counts)
    if counting:
        rows = counted[counting[0].column.name].total()
    total = sum(importance.values()) if importance else 0.0
    found = []
    for one in watched if rows else ():
        made = compared(one, counted[one.column.name])
        if importance and total > 0:
            made.importance = sum(importance.get(f, 0.0) for f in one.column.features) / total
        found.append(made)
    found.sort(key=lambda c: (-c.psi, c.column))
    return Drift(
        rows=rows,
        columns=found,
        notes=notes,
        comparable=bool(watched),
        without=without,
        presence=[compared(one, counted[one.column.name]) for one in beside if rows],
    )


def compared(one: Watched, counts: Mapping[int, int]) -> ColumnDrift:
    """Return the distances of one column from the rows that its bins hold, by `count_bins`' numbers."""
    stats, total = one.stats, sum(counts.values())
    if stats.histogram is not None:
        edges = stats.histogram.edges
        order = [BELOW, *range(len(edges) + 1), ABOVE, INFINITE]
        sizes: list[float] = [0, *stats.histogram.counts, 0]
        finite = stats.rows - stats.missing - stats.infinite
        sizes.append(stats.infinite * sum(sizes) / max(1, finite))
        names = ["below training", *(f"≤ {e:.6g}" for e in edges)]
        names += [f"> {edges[-1]:.6g}" if edges else f"{stats.minimum:.6g}", "above training", "infinite"]
    elif one.presence:
        order, sizes, names = [OTHER], [float(stats.rows - stats.missing)], ["(there)"]
    else:
        top = stats.top
        order, sizes, names = [*range(len(top)), OTHER, NEW], [*top.values(), 0.0, 0.0], [*top]
        sizes[-2] = max(0, stats.rows - stats.missing - sum(sizes))
        names += ["(other words)", "(new words)"]
    there = 1 - stats.missing_share
    known = sum(sizes) or 1
    expected = [stats.missing_share, *(there * size / known for size in sizes)]
    here = [counts.get(MISSING, 0), *(counts.get(place, 0) for place in order)]
    names = ["(missing)", *names]
    used = [i for i in range(len(names)) if expected[i] > 0 or here[i] > 0]
    q, n = np.array([expected[i] for i in used]), np.array([here[i] for i in used])
    reference_rows = round(known / there) if there > 0 else stats.rows
    places = [str(i) for i in range(len(used))]
    _, distances, _ = distribution_distance(
        places, n.tolist(), dict(zip(places, (q / q.sum()).tolist(), strict=True))
    )
    numeric = stats.histogram is not None
    return ColumnDrift(
        column=one.column.name,
        numeric=numeric,
        rows=total,
        bins=[names[i] for i in used],
        expected=(q / q.sum()).tolist(),
        found=(n / n.sum()).tolist(),
        psi=psi(n, q * reference_rows),
        chance=psi_by_chance(len(used), total, reference_rows),
        js_distance=distances["js_distance"] or 0.0,
        ks=ks_distance(here[1:-1], expected[1:-1]) if numeric else None,
        missing_before=stats.missing_share,
        missing=counts.get(MISSING, 0) / total,
        outside=_outside(one, counts) if numeric else None,
        new=counts.get(NEW, 0) if not numeric and one.known is not None else None,
        moves=isinstance(one.column, DatetimeColumn),
    )


def _outside(one: Watched, counts: Mapping[int, int]) -> int:
    infinite = 0 if one.stats.infinite else counts.get(INFINITE, 0)
    return counts.get(BELOW, 0) + counts.get(ABOVE, 0) + infinite


def psi(found: ArrayLike, expected: ArrayLike) -> float:
    """Return the population stability index, sum of (p - q) ln(p / q) over bins: Jeffreys' divergence, in nats.

    Siddiqi, Credit Risk Scorecards (2006), chapter 9. A bin without rows counts as half a row, or one value that is
    nowhere else would make the index infinite.

    Parameters
    ----------
    found, expected
        Rows by bin, `[bins]`, of which p and q are the shares; each has at least one row.

    Examples
    --------
    >>> round(psi([40, 60], [50, 50]), 5)
    0.04055
    """
    n, m = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    p = np.where(n > 0, n, 0.5) / n.sum()
    q = np.where(m > 0, m, 0.5) / m.sum()
    return float(((p - q) * np.log(p / q)).sum())


def psi_by_chance(bins: int, found: int, expected: int) -> float:
    """Return what the index of two samples of one distribution stays below in 999 of 1000 cases.

    It is distributed as (1/n + 1/m) times chi-square with bins less one degrees of freedom: Yurdakul and Naranjo,
    Statistical properties of the population stability index, Journal of Risk Model Validation 14 (2020).
    """
    from scipy.stats import chi2

    if bins < 2 or not found or not expected:
        return 0.0
    return float((1 / found + 1 / expected) * chi2.ppf(_CERTAIN, bins - 1))


def ks_distance(found: ArrayLike, expected: ArrayLike) -> float | None:
    """Return the largest difference of two cumulative distributions at the bins' ends, None where one has no value.

    Kolmogorov (1933) and Smirnov (1939). It is exact where each value is a bin, else at most 0.05 below the distance of
    the values themselves.
    """
    n, m = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if not n.sum() or not m.sum():
        return None
    return float(np.abs(np.cumsum(n) / n.sum() - np.cumsum(m) / m.sum()).max())


def _watched(
    plan: FeaturePlan, columns: Sequence[str] | None, named: Sequence[str]
) -> tuple[list[Watched], list[str], list[str]]:
    """The columns to compare, those whose distribution the plan does not keep, and in words why others are not compared."""
    watched: list[Watched] = []
    without: list[str] = []
    dates = 0
    stats = {s.column: s for s in plan.statistics}
    for column in plan.columns:
        if columns is not None and column.name not in columns:
            continue
        if columns is None and column.name not in named and isinstance(column, DatetimeColumn):
            dates += 1
            continue
        one = watch(column, stats[column.name]) if column.name in stats else None
        if one is None:
            without.append(column.name)
        else:
            watched.append(one)
    notes = []
    if dates:
        notes.append(
            f"{dates} columns of dates and times move by nature; name them in drift.columns to compare them"
        )
    if without:
        names = ", ".join(map(repr, without[:10])) + (" ..." if len(without) > 10 else "")
        notes.append(f"the plan keeps no distribution of {names}: {NO_DISTRIBUTION}")
    return watched, without, notes
