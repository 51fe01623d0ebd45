"""How rows that lie in a table beside another one become its rows: one statement of PostgreSQL, so that all of it happens or nothing."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

LONGEST = 63  # bytes of a name; PostgreSQL cuts what is longer, and says so to nobody
_WAIT = "300s"
_NAME = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME})")


_FRACTIONS, _MOMENTS = ("float4", "float8", "numeric"), ("timestamp", "timestamptz")
_INTEGERS = ("int2", "int4", "int8")
_THERE = "coalesce(nullif(k.typbasetype, 0), t.atttypid)"
# A decimal without digits behind its point; one that an integer does not hold is an error of PostgreSQL's own.
_WHOLE = "(n.atttypid = 'numeric'::regtype AND n.atttypmod >= 4 AND ((n.atttypmod - 4) & 65535) = 0)"


def name_parts(table: str) -> tuple[str, str] | None:
    """Return the schema as it is written, with its dot, and the table's name as the database keeps it; None of what is no name.

    Examples
    --------
    >>> name_parts('sales."The Scores"'), name_parts("Scores"), name_parts("a b")
    (('sales.', 'The Scores'), ('', 'scores'), None)
    """
    found = _TABLE.fullmatch(table)
    if found is None:
        return None
    return f"{found['schema']}." if found["schema"] else "", name_read(found["name"])


def name_beside(table: str) -> str:
    """Return a name beside the table's that no other run uses, and that tells its age."""
    schema, name = _parts(table)
    mark = f"__new_{datetime.now(UTC):%Y%m%d%H%M%S}_{uuid.uuid4().hex[:8]}"
    return f"{schema}{quoted_name(_cut(name, LONGEST - len(mark)) + mark)}"


def start_of_beside(table: str) -> str:
    """Return what the names of `name_beside` begin with, before the time and eight hexadecimal digits."""
    return f"{_cut(_parts(table)[1], LONGEST - 28)}__new_"


def replaced_all(
    table: str, beside: str, columns: Sequence[str], rows: int, *, keeps_definition: bool
) -> str:
    """Return the statement by which the `rows` of `beside` take the place of all rows, or its table that of the present one."""
    if keeps_definition:
        return _block([_locked(table), f"DELETE FROM {table};", *_taken(table, beside, columns, rows)])
    return _block(
        [
            f"SELECT count(*) INTO n FROM {beside};",
            _all_came(rows),
            f"DROP TABLE IF EXISTS {table};",
            f"ALTER TABLE {beside} RENAME TO {quoted_name(_parts(table)[1])};",
        ]
    )


def joined(
    table: str, beside: str, columns: Sequence[str], rows: int, keys: Mapping[str, str], refused: str
) -> str:
    """Return the statement by which the `rows` of `beside` take the place of those that have the values of `keys`; the table is made where there is none.

    Nothing happens where the query `refused`, `misfit` or `loss`, finds a column.
    """
    whose = " AND ".join(f"{quoted_name(name)} = {literal(value)}" for name, value in keys.items())
    return _block(
        [
            # Of two that find no table each would make one, and the rows of the first were lost.
            f"PERFORM pg_advisory_xact_lock(hashtextextended({literal(f'synml {table}')}, 0));",
            f"IF to_regclass({literal(table)}) IS NULL THEN CREATE TABLE {table} (LIKE {beside}); END IF;",
            _locked(table),
            # It may have been made, or changed, since it was looked at.
            f"FOR other IN {refused} LOOP RAISE EXCEPTION 'synml: the column % is % and in the table %', other.name, other.here, other.there; END LOOP;",
            f"DELETE FROM {table} WHERE {whose};",
            *_taken(table, beside, columns, rows),
        ]
    )


def misfit(table: str, beside: str) -> str:
    """Return the query for the first column of `beside` (`name`, its type `here`) that the table does not have, or has of a type (`there`) that it does not become by itself.

    What PostgreSQL casts in an assignment alone loses fractions and times of day without a word.
    """
    return _columns_where(
        table,
        beside,
        "t.attname IS NULL OR n.atttypid NOT IN (t.atttypid, k.typbasetype) AND NOT EXISTS (SELECT FROM pg_cast c"
        " WHERE c.castsource = n.atttypid AND c.casttarget IN (t.atttypid, k.typbasetype) AND c.castcontext = 'i')"
        f" AND NOT (n.atttypid = 'numeric'::regtype AND {_WHOLE} AND {_THERE} IN ({_types(_INTEGERS)}))",
    )


def loss(table: str, beside: str) -> str:
    """Return the query for the first column of `beside`, as in `misfit`, of which the table would keep no fractions or no time of day.

    Whoever has made a table with `numeric(10, 2)` wants two digits; a probability of 0 or 1 nobody.
    """
    return _columns_where(
        table,
        beside,
        f"n.atttypid IN ({_types(_FRACTIONS)}) AND NOT {_WHOLE} AND {_THERE} IN ({_types(_INTEGERS)})"
        f" OR n.atttypid IN ({_types(_MOMENTS)}) AND {_THERE} = 'date'::regtype",
    )


def _types(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'::regtype" for name in names)


def _columns_where(table: str, beside: str, condition: str) -> str:
    return (
        "SELECT n.attname::text AS name, format_type(n.atttypid, n.atttypmod) AS here, format_type(t.atttypid, t.atttypmod) AS there"
        f" FROM pg_attribute n LEFT JOIN pg_attribute t ON t.attrelid = to_regclass({literal(table)}) AND t.attname = n.attname AND NOT t.attisdropped"
        " LEFT JOIN pg_type k ON k.oid = t.atttypid"
        f" WHERE n.attrelid = to_regclass({literal(beside)}) AND n.attnum > 0 AND NOT n.attisdropped AND ({condition})"
        " ORDER BY n.attnum LIMIT 1"
    )


def quoted_name(name: str) -> str:
    """Write a name of any characters."""
    return '"' + name.replace('"', '""') + '"'


def name_read(name: str) -> str:
    """Read a name as it is written: in double quotes, or in letters of either case."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def literal(value: str) -> str:
    """Write a text of any characters."""
    return "'" + value.replace("'", "''") + "'"


def _parts(table: str) -> tuple[str, str]:
    found = name_parts(table)
    assert found is not None
    return found


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode(errors="ignore")


def _block(steps: Sequence[str]) -> str:
    """One statement of all steps, whatever the driver makes of several."""
    told = f"PERFORM set_config('lock_timeout', '{_WAIT}', true);"
    return f"DO $synml$ DECLARE n bigint; other record; BEGIN {' '.join([told, *steps])} END $synml$"


def _locked(table: str) -> str:
    # Two that replace the rows at once would each keep the other's.
    return f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;"


def _taken(table: str, beside: str, columns: Sequence[str], rows: int) -> list[str]:
    names = ", ".join(map(quoted_name, columns))
    return [
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {beside};",
        "GET DIAGNOSTICS n = ROW_COUNT;",
        _all_came(rows),
        f"DROP TABLE {beside};",
    ]


def _all_came(rows: int) -> str:
    return f"IF n <> {rows} THEN RAISE EXCEPTION 'synml: % rows came and {rows} were written', n; END IF;"
