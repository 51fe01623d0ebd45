"""Counts the rows of a table by the bins of a plan's statistics: all columns in one grouped count by Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    """

    column: FittedColumn
    stats: ColumnStats
    known: tuple[str, ...] | None = None

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
    bins = [_number_bin(f"v{i}", w) if w.numeric else _word_bin(f"v{i}", w) for i, w in enumerate(watched)]
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
            place = _number_bin(f"v{i}", one) if one.numeric else _word_bin(f"v{i}", one)
            odd = values.where(place.isin(BELOW, ABOVE, NEW)).groupBy(f"v{i}").count()
            for row in odd.orderBy(sf.desc("count"), f"v{i}").limit(most).collect():
                said = f"{row[0]:.6g}" if one.numeric else repr(str(row[0]))
                counts[one.column.name][said] += row["count"]
    return {name: [v for v, _ in found.most_common(most)] for name, found in counts.items()}


def _values(df: DataFrame, watched: Sequence[Watched]) -> list[Column]:
    """The watched columns as v0, v1, ..., in the types that the plan knows."""
    inputs, others = matched_or_converted(df, [w.column.input for w in watched])
    return [
        (others[w.column.name][0] if w.column.name in others else here.value()).alias(f"v{i}")
        for i, (w, here) in enumerate(zip(watched, inputs, strict=True))
    ]


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
