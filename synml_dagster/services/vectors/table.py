"""The table that rows are written to: what it is like, made where there is none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.vectors.copying import column_type, encoder
from synml_dagster.services.vectors.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import cursor
    from pyspark.sql.types import StructType

_COLUMNS = """
    SELECT attname::text, format_type(atttypid, atttypmod),
           attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '', attgenerated <> '' OR attidentity = 'a'
    FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

# Indexes that ON CONFLICT can go by: the columns of each.
_UNIQUE = """
    SELECT array(SELECT attname::text FROM unnest((indkey::smallint[])[0:indnkeyatts - 1]) AS k
                 JOIN pg_attribute ON attrelid = indrelid AND attnum = k)
    FROM pg_index
    WHERE indrelid = %s::regclass AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indexprs IS NULL
"""


@dataclass(frozen=True)
class Table:
    """A table as a write needs to know it: the columns that are written, by name, and the types that they have there."""

    settings: Settings
    columns: dict[str, str]
    kinds: str
    """The columns' types in Spark, as the schema's JSON."""

    @classmethod
    def found(cls, settings: Settings, schema: StructType) -> Table:
        """Return the table for rows of a schema, made where there is none and the settings say how.

        Raises
        ------
        ConfigError
            The rows do not fit the table, or it cannot have their key.
        SetupError
            The database cannot be reached.
        """
        kinds = {field["name"]: field["type"] for field in schema.jsonValue()["fields"]}
        for name in (*settings.key, *([settings.latest] if settings.latest else [])):
            if name not in kinds:
                raise ConfigError(f"vectors: the rows have no column {name!r}.{did_you_mean(name, kinds)}")
        with settings.connected() as lent, lent.cursor() as asking:
            if not _is_there(asking, settings.table):
                _create(asking, settings, kinds)
            present = _present(asking, settings, list(kinds))
        table = cls(settings, {name: present[name] for name in kinds}, json.dumps(kinds))
        table.encoders()
        return table

    def encoders(self) -> dict[str, Any]:
        """Return by column what makes COPY's text of it."""
        kinds = json.loads(self.kinds)
        return {name: encoder(name, kinds[name], column) for name, column in self.columns.items()}


def quoted(name: str) -> str:
    """Return a name as SQL writes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _is_there(asking: cursor, table: str) -> bool:
    asking.execute("SELECT to_regclass(%s)", [table])
    return asking.fetchone() != (None,)


def _present(asking: cursor, settings: Settings, names: list[str]) -> dict[str, str]:
    """Return the table's columns with their types, once it is sure that rows with columns of these names can be written."""
    asking.execute(_COLUMNS, [settings.table])
    found = asking.fetchall()
    present = {name: kind for name, kind, _, _ in found}
    for name in names:
        if name not in present:
            raise ConfigError(
                f"vectors: {settings.place} has no column {name!r}.{did_you_mean(name, present)}"
            )
    for name, _, needed, made in found:
        if needed and name not in names:
            raise ConfigError(
                f"vectors: {settings.place} needs a value for {name!r}, and the rows have no such column"
            )
        if made and name in names:
            raise ConfigError(f"vectors: {settings.place} makes {name!r} by itself; leave that column out")
    asking.execute(_UNIQUE, [settings.table])
    keys = [sorted(key) for (key,) in asking.fetchall()]
    if sorted(settings.key) not in keys:
        there = "; ".join(", ".join(key) for key in keys) or "none"
        raise ConfigError(
            f"vectors: {settings.place} has no unique index on {', '.join(settings.key)}, so that a row tried again would be there twice. "
            f"Its unique keys are: {there}. Add one: ALTER TABLE ... ADD PRIMARY KEY ({', '.join(map(quoted, settings.key))})"
        )
    return present


def _create(asking: cursor, settings: Settings, kinds: dict[str, Any]) -> None:
    """Make the table."""
    lists = [
        name
        for name, kind in kinds.items()
        if isinstance(kind, dict) and kind.get("elementType") in ("float", "double")
    ]
    if settings.dimensions is None:
        raise ConfigError(
            f"vectors: there is no table {settings.place}. Make it, or say how many numbers a vector has: option dimensions"
        )
    vector = settings.vector or (lists[0] if len(lists) == 1 else None)
    if vector not in lists:
        raise ConfigError(
            f"vectors: dimensions is for a column of lists of numbers; say which by the option vector: {', '.join(lists) or 'the rows have none'}"
        )
    asking.execute("SELECT to_regtype('vector')")
    if asking.fetchone() == (None,):
        raise ConfigError(
            f"vectors: {settings.place}: the database does not know the type vector. Install pgvector, and let its owner run: CREATE EXTENSION vector"
        )
    made = [
        f"{quoted(name)} {column_type(name, kind, settings.dimensions if name == vector else None)}"
        for name, kind in kinds.items()
    ]
    key = ", ".join(map(quoted, settings.key))
    asking.execute(f"CREATE TABLE IF NOT EXISTS {settings.table} ({', '.join(made)}, PRIMARY KEY ({key}))")


def beside(table: str, mark: str) -> str:
    """Return a name in the same schema, of 63 bytes at most, that ends with `mark`.

    Examples
    --------
    >>> beside("shop.reviews", "_new")
    'shop."reviews_new"'
    """
    schema, name = parts(table)
    cut = name.encode()[: 63 - len(mark.encode())].decode(errors="ignore")
    return f"{schema}{quoted(cut + mark)}"


def parts(table: str) -> tuple[str, str]:
    """Return the schema as it is written, with its dot, and the name as the database keeps it."""
    found = re.fullmatch(r'(?P<schema>(?:"(?:[^"]|"")+"|[^".]+)\.)?(?P<name>"(?:[^"]|"")+"|[^".]+)', table)
    assert found is not None  # the settings have looked at it
    name = found["name"]
    own = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    return found["schema"] or "", own
