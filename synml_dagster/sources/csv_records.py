"""Which records of CSV files are no rows: of another width, the header again, without any value; and which are doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

BAD = "__synml_bad_record"
"""Where Spark puts a record that has more or fewer fields than the header."""

_TORN = "__synml_torn_lines"
_FATE = "__synml_fate"
_ROW, _HEADER, _EMPTY, _TOTAL = range(4)
_TOTALS = (
    r"^(?i:(grand|sub|over ?all)?[ -]?totals?|sub-?sum|sum(me)?|(ins)?gesamt(summe)?|zwischensumme|somme|totale?"
    r"|total g[ée]n[ée]ral|suma|totaal)\s*:?$"
)
"""What a record begins with, or has somewhere, that adds up the others: in the languages whose spreadsheets are most met."""

_MOST_TOTALS = 0.02


def marked_records(
    frame: DataFrame, names: Sequence[str], header: Sequence[str], separator: str
) -> DataFrame:
    """Return `frame`, the texts of files of one header, with what is to be known of each record for `without_bad`.

    Parameters
    ----------
    names
        The columns of the file.
    header
        Their names as the file writes them; empty where it has no header.
    """
    return frame.withColumns({_TORN: _torn_lines(names, separator), _FATE: _fate(names, header)})


def without_bad(frame: DataFrame, notes: list[str]) -> DataFrame:
    """Leave out the records that are no rows, and say of each kind how many they are, with an example.

    Raises
    ------
    SourceError
        No record has as many fields as the header.
    """
    from pyspark.sql import functions as sf

    bad, fate = sf.col(BAD), sf.col(_FATE)
    columns = [name for name in frame.columns if name not in (BAD, _TORN, _FATE)]
    shown = sf.concat_ws(" | ", *(sf.col(quoted(name)) for name in columns[:8]))
    # Spark asks for another column beside the one of bad records.
    asked = {
        "n": sf.count(bad),
        "one": sf.first(bad, ignorenulls=True),
        "rows": sf.count(sf.lit(1)),
        "other": sf.count(sf.col(quoted(columns[0]))),
        "torn": sf.sum(sf.when(bad.isNull(), sf.col(_TORN))),
        "headers": sf.count_if(bad.isNull() & (fate == _HEADER)),
        "empty": sf.count_if(bad.isNull() & (fate == _EMPTY)),
        "totals": sf.count_if(bad.isNull() & (fate == _TOTAL)),
        "total": sf.first(sf.when(bad.isNull() & (fate == _TOTAL), shown), ignorenulls=True),
    }
    row = frame.agg(*(column.alias(name) for name, column in asked.items())).first()
    assert row is not None
    _say(row, columns, notes)
    left = None
    if row["n"]:
        # Spark refuses a query that reads nothing but the bad records, as a count of the others would: read one more column.
        left = bad.isNull() & (sf.length(sf.concat_ws("", sf.col(quoted(columns[0])), sf.lit("."))) > 0)
    if row["headers"] or row["empty"]:
        rows = ~fate.isin(_HEADER, _EMPTY)
        left = rows if left is None else left & rows
    if left is not None:
        frame = frame.where(left)
    return frame.select(*map(quoted, columns))


def _say(row: Row, columns: Sequence[str], notes: list[str]) -> None:
    """Add what is to be said of the counted records to `notes`; an error where all of them are of another width."""
    if row["n"] and row["n"] == row["rows"]:
        raise SourceError(
            f"source: all {row['n']} records have more or fewer fields than the first line, which is {', '.join(columns[:5])!r}; the second is {row['one'][:200]!r}. "
            "Take lines above the header out of the files, or say source.options.sep"
        )
    if row["torn"]:
        notes.append(
            f"values hold {row['torn']} lines that look like records: a quote that is not closed has taken them in. "
            "Close it in the source, or say source.options.quote: '' where quotes are parts of values"
        )
    if row["n"]:
        notes.append(
            f"{row['n']} of {row['rows']} records have more or fewer fields than the header and are left out, such as {row['one'][:200]!r}"
        )
    if row["headers"]:
        notes.append(
            f"{row['headers']} of {row['rows']} records are the header again, as where files were put one behind the other, and are left out"
        )
    if row["empty"]:
        notes.append(f"{row['empty']} of {row['rows']} records hold no value in any column and are left out")
    if row["totals"] and row["totals"] <= max(2, _MOST_TOTALS * row["rows"]):
        notes.append(
            f"{row['totals']} of {row['rows']} records look like totals of others, such as {row['total'][:200]!r}, and are read as rows like any other; take them out of the source"
        )


def _fate(names: Sequence[str], header: Sequence[str]) -> Column:
    """What a record is; a single column's values cannot be told from its name, and Spark passes over its empty lines."""
    from pyspark.sql import functions as sf

    if len(names) < 2:
        return sf.lit(_ROW)
    values = sf.array(*(sf.trim(sf.coalesce(sf.col(quoted(name)), sf.lit(""))) for name in names))
    fate = sf.when(sf.forall(values, lambda value: value == ""), _EMPTY)
    if any(header):
        fate = fate.when(values == sf.array(*(sf.lit(name.strip()) for name in header)), _HEADER)
    return fate.when(sf.exists(values, lambda value: value.rlike(_TOTALS)), _TOTAL).otherwise(_ROW)


def _torn_lines(names: Sequence[str], separator: str) -> Column:
    """How many lines inside the values of a record look like records: a quote that is not closed has taken them in."""
    from pyspark.sql import functions as sf

    marks = len(names) - 1
    if not marks:
        return sf.lit(0)

    def is_record(line: Column) -> Column:
        return sf.length(line) - sf.length(sf.replace(line, sf.lit(separator), sf.lit(""))) == marks

    def lines(value: Column) -> Column:
        # The first and the last line are parts of records at best.
        parts = sf.split(value, "\n")
        inner = sf.slice(parts, 2, sf.greatest(sf.size(parts) - 2, sf.lit(0)))
        taken = (sf.size(inner) >= (2 if marks == 1 else 1)) & sf.forall(inner, is_record)
        return sf.when(value.contains("\n") & taken, sf.size(inner)).otherwise(0)

    values = sf.array(*(sf.coalesce(sf.col(quoted(name)), sf.lit("")) for name in names))
    return sf.aggregate(values, sf.lit(0), lambda n, value: n + lines(value))
