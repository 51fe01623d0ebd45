"""Rows to score that are nothing like the training rows in a column: no value left, words that no training row has, other units.

What drift is compared by in full, and where it is asked for, this sees in the first rows of any table: not how far columns
moved, but that one of them is read in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.columns.match import matched_or_converted
from synml_dagster.columns.same_words import plainly
from synml_dagster.features.kinds import CategoricalColumn, DatetimeColumn

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.columns import RawInput
    from synml_dagster.features import ColumnStats, FeaturePlan
    from synml_dagster.features.kinds import FittedColumn

_ROWS = 10_000
_COLUMNS = 300
_MOST_SAID = 20
_TABLES = 8
_FEWEST = 5
_GONE, _LEARNT = 0.95, 0.5
_STRANGE, _OUTSIDE = 0.5, 0.9
_WORDS, _RARE = 1000, 0.1
_KNOWN, _MISSING, _ODD = 0, 1, 2


def unlike_training(frame: DataFrame, plan: FeaturePlan) -> list[str]:
    """Return a sentence for each column whose values in the first rows of `frame` are nothing like those of the training rows.

    Parameters
    ----------
    frame
        Rows to score. Up to 10,000 of them are read, and up to 300 columns.
    plan
        The plan of the model that is to score them.

    Raises
    ------
    DataError
        A column is missing, or of a type whose values are never the plan's.
    """
    from pyspark.sql import functions as sf

    stats = {s.column: s for s in plan.statistics}
    columns = [c for c in plan.columns if c.name in stats and c.input.storage not in ("array", "vector")]
    columns = sorted(columns, key=lambda c: not isinstance(c, CategoricalColumn))[:_COLUMNS]
    if not columns:
        return []
    here, others = matched_or_converted(frame, [c.input for c in columns])
    values = [
        (others[c.name][0] if c.name in others else found.value()).alias(f"v{i}")
        for i, (c, found) in enumerate(zip(columns, here, strict=True))
    ]
    cells = []
    for i, column in enumerate(columns):
        value = sf.col(f"v{i}")
        strange = _is_strange(value, column, stats[column.name])
        state = sf.when(_is_missing(value, column.input), _MISSING)
        if strange is not None:
            state = state.when(strange, _ODD)
        state = state.otherwise(_KNOWN)
        cells.append(
            sf.struct(state.alias("state"), sf.when(state == _ODD, value.cast("string")).alias("one"))
        )
    # The cells are made rows: three aggregates of each column would be a plan that takes Spark longer to compile than to run.
    each = frame.limit(_ROWS).select(*values).select(sf.posexplode(sf.array(*cells)).alias("pos", "cell"))
    counted = each.groupBy("pos").agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.count_if(sf.col("cell.state") == _MISSING).alias("missing"),
        sf.count_if(sf.col("cell.state") == _ODD).alias("odd"),
        sf.first("cell.one", ignorenulls=True).alias("one"),
    )
    said = []
    for found in sorted(counted.collect(), key=lambda row: row["pos"]):
        rows, missing, odd = found["rows"], found["missing"], found["odd"]
        if rows < _FEWEST:
            return []
        column = columns[found["pos"]]
        learnt = stats[column.name]
        # Rows whose value of another type cannot be read are rejected with that reason.
        known_then = learnt.missing <= (1 - _LEARNT) * learnt.rows
        if column.name not in others and missing >= _GONE * rows and known_then:
            of = f"all of the {rows}" if missing == rows else f"{missing} of the {rows}"
            said.append(
                f"column {column.name!r} has no value in {of} rows looked at, and had one in {1 - learnt.missing / max(1, learnt.rows):.0%} of the training rows"
            )
        elif rows - missing >= _FEWEST and odd >= _part(column) * (rows - missing):
            said.append(_strangers(column, learnt, odd, rows - missing, found["one"]))
    more = len(said) - _MOST_SAID
    return said if more <= 0 else [*said[:_MOST_SAID], f"and {more} more columns like these"]


def unlike_training_in(frames: Sequence[DataFrame], plan: FeaturePlan) -> list[str]:
    """Return what `unlike_training` does of several tables, of the first few of them, each thing once."""
    return list(dict.fromkeys(said for frame in frames[:_TABLES] for said in unlike_training(frame, plan)))


def _part(column: FittedColumn) -> float:
    return _STRANGE if isinstance(column, CategoricalColumn) else _OUTSIDE


def _is_missing(value: Column, raw: RawInput) -> Column:
    from pyspark.sql import functions as sf

    if raw.storage == "string":
        return sf.coalesce(value, sf.lit("")).isin("", *raw.missing)
    return value.isNull() | sf.isnan(value)


def _is_strange(value: Column, column: FittedColumn, stats: ColumnStats) -> Column | None:
    """Whether a value is none that the training rows could have had; None where that is not known, or moves by nature."""
    from pyspark.sql import functions as sf

    if isinstance(column, CategoricalColumn):
        # Words that are rare in training have no place of their own, and today's may be such.
        rest = (stats.distinct or len(column.words)) - len(column.words)
        if not column.words or len(column.words) >= _WORDS or rest > _RARE * stats.rows:
            return None
        return ~column.word(value).isin(*column.words)
    if isinstance(column, DatetimeColumn) or stats.minimum is None or stats.maximum is None:
        return None
    if column.input.storage not in ("number", "integer"):
        return None
    slack = 1e-9 * max(abs(stats.minimum), abs(stats.maximum))
    return (value < sf.lit(stats.minimum - slack)) | (value > sf.lit(stats.maximum + slack))


def _strangers(column: FittedColumn, stats: ColumnStats, odd: int, there: int, one: str) -> str:
    if not isinstance(column, CategoricalColumn):
        return (
            f"column {column.name!r} is outside of what the training rows hold ({stats.minimum:.6g} to {stats.maximum:.6g}) in {odd} of the "
            f"{there} rows looked at, such as {float(one):.6g}; is it measured in another unit?"
        )
    twin = next((word for word in column.words if plainly(word) == plainly(one)), None)
    known = repr(twin) if twin is not None else ", ".join(map(repr, column.words[:3]))
    return f"column {column.name!r} holds words that no training row has in {odd} of the {there} rows looked at, such as {one!r}, where the training rows have {known}; they count as other"
