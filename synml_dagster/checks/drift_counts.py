"""Counts the rows of a table by the bins of a plan's statistics: all columns in one grouped count by Spark."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from synml_dagster.columns.match import matched_or_converted
from synml_dagster.features.kinds import CategoricalColumn

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.features import ColumnStats, FeaturePlan
    from synml_dagster.features.kinds import FittedColumn

MISSING, BELOW, ABOVE, NEW, OTHER, INFINITE = -1, -2, -3, -4, -5, -6
"""Bins beside those of the statistics: no value; under the least and over the greatest training value; a word that no
training row has; a known word that is none of the frequent ones, or any further word where not all are known; infinity."""

_MOST_KNOWN = 1000


@dataclass(frozen=True)
class Watched:
    """A raw column of a plan and what the plan knows of its training rows.

    Attributes
    ----------
    known
        The words beside those of `stats.top` that training rows have; None where not all are known.
    presence
        Whether its missing values alone are counted: those that are there are `OTHER`.
    """

    column: FittedColumn
    stats: ColumnStats
    known: tuple[str, ...] | None = None
    presence: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it is compared as a number."""
        return self.stats.histogram is not None


def watch(column: FittedColumn, stats: ColumnStats) -> Watched | None:
    """Return how to count a column, None where the statistics have neither a histogram nor words."""
    if stats.histogram is not None:
        return Watched(column, stats)
    # Numbers and days that are written as text, and sentences, are none the nearer for being the same word.
    known = column.ways[0]
    if not stats.top or not isinstance(known, CategoricalColumn):
        return None
    words = set(known.words)
    more = tuple(sorted(words - set(stats.top)))
    complete = len(more) + len(stats.top) == stats.distinct and len(more) <= _MOST_KNOWN
    return Watched(column, stats, more if complete else None)


def watch_presence(column: FittedColumn, stats: ColumnStats) -> Watched | None:
    """Return how to count the missing values of a column, None of arrays, whose empty ones are as good as missing."""
    if column.input.storage in ("array", "vector"):
        return None
    return Watched(column, stats, presence=True)


def count_bins(df: DataFrame, plan: FeaturePlan, watched: Sequence[Watched]) -> dict[str, Counter[int]]:
    """Return for each column how many rows of `df` fall into which bin.

    Bin i from 0 is that of the histogram, or the i-th word of the plan's most frequent ones; the others are negative.

    Raises
    ------
    DataError
        A column is missing, or of a type whose values are never the plan's.
    """
    from pyspark.sql import functions as sf

    values = _values(df, watched)
    bins = [_bin(f"v{i}", one) for i, one in enumerate(watched)]
    found = (
        df.select(*values)
        .select(sf.posexplode(sf.array(*bins)).alias("place", "bin"))
        .groupBy("place", "bin")
        .count()
        .collect()
    )
    counted: dict[str, Counter[int]] = {w.column.name: Counter() for w in watched}
    for row in found:
        counted[watched[row["place"]].column.name][row["bin"]] = row["count"]
    return counted


def unseen_values(
    tables: Iterable[DataFrame], plan: FeaturePlan, columns: Sequence[str], most: int
) -> dict[str, list[str]]:
    """Return up to `most` values by column that are outside of the training range, or words that no training row has.

    The ones that stand in most rows come first. Reads these columns alone.
    """
    from pyspark.sql import functions as sf

    stats = {s.column: s for s in plan.statistics}
    made = [watch(c, stats[c.name]) for c in plan.columns if c.name in columns and c.name in stats]
    watched = [w for w in made if w is not None]
    counts: dict[str, Counter[str]] = {w.column.name: Counter() for w in watched}
    for df in tables:
        values = df.select(*_values(df, watched))
        for i, one in enumerate(watched):
            never = [BELOW, ABOVE, NEW, *([] if one.stats.infinite else [INFINITE])]
            odd = values.where(_bin(f"v{i}", one).isin(*never)).groupBy(f"v{i}").count()
            for row in odd.orderBy(sf.desc("count"), f"v{i}").limit(most).collect():
                counts[one.column.name][_said(row[0], one)] += row["count"]
    return {name: [v for v, _ in found.most_common(most)] for name, found in counts.items()}


def _values(df: DataFrame, watched: Sequence[Watched]) -> list[Column]:
    """The watched columns as v0, v1, ..., in the types that the plan knows."""
    inputs, others = matched_or_converted(df, [w.column.input for w in watched])
    return [
        (others[w.column.name][0] if w.column.name in others else here.value()).alias(f"v{i}")
        for i, (w, here) in enumerate(zip(watched, inputs, strict=True))
    ]


def _said(value: object, one: Watched) -> str:
    """Return a value as a person writes it."""
    if not isinstance(value, float):
        return repr(str(value))
    unit = {"date": timedelta(days=1), "timestamp": timedelta(microseconds=1)}.get(one.column.input.storage)
    if unit is None or not math.isfinite(value):
        return f"{value:.6g}"
    try:
        moment = datetime(1970, 1, 1) + value * unit
    except OverflowError:
        return f"{value:.6g}"
    return str(moment.date()) if one.column.input.storage == "date" else str(moment)


def _bin(name: str, one: Watched) -> Column:
    if one.presence:
        return _presence_bin(name, one)
    return _number_bin(name, one) if one.numeric else _word_bin(name, one)


def _presence_bin(name: str, one: Watched) -> Column:
    from pyspark.sql import functions as sf

    value = sf.col(name)
    missing = value.isNull()
    if one.column.input.storage == "string":
        missing |= value.isin("", *one.column.input.missing)
    else:
        missing |= sf.isnan(value)
    return sf.when(missing, MISSING).otherwise(OTHER)


def _number_bin(name: str, one: Watched) -> Column:
    from pyspark.sql import functions as sf

    low, high = one.stats.minimum, one.stats.maximum
    assert one.stats.histogram is not None
    assert low is not None
    assert high is not None
    # Least and greatest are kept to 10 digits; a whole number may lie a little beyond what is written.
    low, high = low - 1e-9 * abs(low), high + 1e-9 * abs(high)
    edges = ", ".join(f"{_double(edge)}" for edge in one.stats.histogram.edges)
    place = f"size(filter(array({edges}), e -> e < {name}))" if edges else "0"
    return sf.expr(
        f"CASE WHEN {name} IS NULL OR isnan({name}) THEN {MISSING} WHEN abs({name}) = double('Infinity') THEN {INFINITE} "
        f"WHEN {name} < {_double(low)} THEN {BELOW} WHEN {name} > {_double(high)} THEN {ABOVE} ELSE {place} END"
    )


def _double(value: float) -> str:
    return f"double('{value!r}')"


def _word_bin(name: str, one: Watched) -> Column:
    from pyspark.sql import functions as sf

    word = sf.coalesce(sf.col(name), sf.lit(""))
    place = sf.array_position(sf.array(*(sf.lit(w) for w in one.stats.top)), word).cast("int")
    rest = sf.lit(OTHER)
    if one.known is not None:
        rest = sf.when(word.isin(*one.known), OTHER).otherwise(NEW) if one.known else sf.lit(NEW)
    missing = word.isin("", *one.column.input.missing)
    return sf.when(missing, MISSING).when(place > 0, place - 1).otherwise(rest)
