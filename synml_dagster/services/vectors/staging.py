"""Rows on their way: tasks copy them into a table beside the target, and one transaction takes over those of the tasks that count.

A task that is tried again, or that runs twice, leaves rows of tries that do not count. They go with the table.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import DataError, SetupError
from synml_dagster.services.vectors.copying import Stream, lines
from synml_dagster.services.vectors.table import Table, beside, parts, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg2.extensions import cursor

_MARK = "__rows_"
_LEFT_BEHIND = 86_400
_TASK = "task of synml_vectors"


@dataclass(frozen=True)
class Staging:
    """The table beside the target of one write."""

    target: Table
    name: str

    @classmethod
    def of(cls, target: Table) -> Staging:
        """Return a place that no other write has, and remove what killed writes have left more than a day ago.

        A stream has one place: Spark makes its writer anew for tasks, for commits, and after a restart.
        """
        memory = target.settings.checkpoint
        mark = uuid.uuid4().hex if memory is None else hashlib.sha256(memory.encode()).hexdigest()
        staging = cls(target, beside(target.settings.table, f"{_MARK}{mark[:12]}"))
        with target.settings.connected() as lent, lent.cursor() as asking:
            staging._drop_left_behind(asking)
        return staging

    def put(self, batches: Iterable[pa.RecordBatch]) -> tuple[str, int]:
        """Copy rows, and return the name of this try and how many they are.

        Raises
        ------
        DataError
            A key holds nothing, or the database's column does not hold a value.
        """
        task, counted = uuid.uuid4().hex, [0]
        rows = self._checked(batches, counted)
        first = next(rows, None)
        if first is None:
            return task, 0
        settings, columns = self.target.settings, self._columns
        with settings.connected() as lent, lent.cursor() as asking:
            self._create(asking)
        with settings.connected() as lent, lent.cursor() as asking:
            text = Stream(lines(_again(first, rows), self.target.encoders(), task))
            try:
                asking.copy_expert(f"COPY {self.name} ({columns}, {quoted(_TASK)}) FROM STDIN", text)
            except Exception:
                if text.problem is not None:
                    raise text.problem from None
                raise
        return task, counted[0]

    def take_over(self, tasks: Sequence[str], rows: int, *, overwrite: bool) -> None:
        """Write the rows of some tasks to the target, all or none, and remove this table.

        Raises
        ------
        DataError
            Different rows have the same key.
        SetupError
            Rows were lost on the way.
        """
        with self.target.settings.connected() as lent, lent.cursor() as asking:
            asking.execute("SELECT to_regclass(%s)", [self.name])
            if asking.fetchone() == (None,):
                if rows:
                    raise SetupError(
                        f"vectors: the {rows} rows that tasks have copied are gone; somebody has dropped {self.name}"
                    )
                if overwrite:
                    asking.execute(f"DELETE FROM {self.target.settings.table}")
                return
            counted = self.target.settings.place
            asking.execute(f"SELECT count(*) FROM {self.name} WHERE {quoted(_TASK)} = ANY(%s)", [list(tasks)])
            found = asking.fetchone()
            if found != (rows,):
                raise SetupError(
                    f"vectors: {counted}: tasks have copied {rows} rows, and {found and found[0]} are there; nothing was written"
                )
            self._refuse_doubles(asking, tasks)
            if overwrite:
                same = " AND ".join(f"s.{quoted(c)} = t.{quoted(c)}" for c in self.target.settings.key)
                asking.execute(
                    f"DELETE FROM {self.target.settings.table} AS t WHERE NOT EXISTS "
                    f"(SELECT 1 FROM {self.name} AS s WHERE s.{quoted(_TASK)} = ANY(%s) AND {same})",
                    [list(tasks)],
                )
            asking.execute(self._merge(overwrite), [list(tasks)])
            asking.execute(f"DROP TABLE {self.name}")

    def drop(self) -> None:
        """Remove what was copied."""
        with self.target.settings.connected() as lent, lent.cursor() as asking:
            asking.execute(f"DROP TABLE IF EXISTS {self.name}")

    @property
    def _columns(self) -> str:
        return ", ".join(map(quoted, self.target.columns))

    def _comparable(self, name: str) -> str:
        """A column as it can be compared: json has no equality of its own."""
        return f"{quoted(name)}::text" if self.target.columns[name] == "json" else quoted(name)

    def _create(self, asking: cursor) -> None:
        """Make the table once, whichever task comes first."""
        asking.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self.name])
        asking.execute("SELECT to_regclass(%s)", [self.name])
        if asking.fetchone() == (None,):
            asking.execute(
                f"CREATE UNLOGGED TABLE {self.name} AS SELECT {self._columns}, ''::text AS {quoted(_TASK)} "
                f"FROM {self.target.settings.table} WITH NO DATA"
            )
            asking.execute(f"COMMENT ON TABLE {self.name} IS 'synml_vectors {time.time():.0f}'")

    def _checked(self, batches: Iterable[pa.RecordBatch], counted: list[int]) -> Iterator[pa.RecordBatch]:
        names = list(self.target.columns)
        for batch in batches:
            if not batch.num_rows:
                continue
            batch = batch.rename_columns(names)
            for name in self.target.settings.key:
                if batch.column(name).null_count:
                    raise DataError(
                        f"vectors: the key {name!r} holds nothing in some rows, which would be there anew with each write"
                    )
            counted[0] += batch.num_rows
            yield batch

    def _refuse_doubles(self, asking: cursor, tasks: Sequence[str]) -> None:
        """Refuse different rows of one key, of which chance would choose."""
        settings = self.target.settings
        key = ", ".join(map(quoted, settings.key))
        order = f"ORDER BY {quoted(settings.latest)} DESC NULLS LAST" if settings.latest else ""
        distinct = ", ".join(f"{self._comparable(name)} AS {quoted(name)}" for name in self.target.columns)
        asking.execute(
            f"SELECT {key} FROM (SELECT {key}, rank() OVER (PARTITION BY {key} {order}) AS place FROM "
            f"(SELECT DISTINCT {distinct} FROM {self.name} WHERE {quoted(_TASK)} = ANY(%s)) AS rows) AS ranked "
            f"WHERE place = 1 GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 3",
            [list(tasks)],
        )
        if found := asking.fetchall():
            shown = "; ".join(", ".join(map(str, one))[:80] for one in found)
            say = (
                f", and the same {settings.latest}"
                if settings.latest
                else "; name a column by which one is the latest (option latest), or leave one"
            )
            raise DataError(
                f"vectors: different rows have the same {', '.join(settings.key)}, such as {shown}{say}"
            )

    def _merge(self, overwrite: bool) -> str:
        """The statement that adds rows of new keys, and changes those that differ."""
        settings = self.target.settings
        key = ", ".join(map(quoted, settings.key))
        rest = [name for name in self.target.columns if name not in settings.key]
        order = f", {quoted(settings.latest)} DESC NULLS LAST" if settings.latest else ""
        chosen = f"SELECT DISTINCT ON ({key}) {self._columns} FROM {self.name} WHERE {quoted(_TASK)} = ANY(%s) ORDER BY {key}{order}"
        if not rest:
            return f"INSERT INTO {settings.table} ({self._columns}) {chosen} ON CONFLICT ({key}) DO NOTHING"
        changed = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in rest)

        def those(of: str) -> str:
            return ", ".join(f"{of}.{self._comparable(name)}" for name in rest)

        # A row that is the same is not touched: an index of vectors is slow to change.
        differs = f"ROW({those('t')}) IS DISTINCT FROM ROW({those('EXCLUDED')})"
        if settings.latest and not overwrite:
            own = quoted(settings.latest)
            differs += f" AND (t.{own} IS NULL OR EXCLUDED.{own} >= t.{own})"
        return (
            f"INSERT INTO {settings.table} AS t ({self._columns}) {chosen} "
            f"ON CONFLICT ({key}) DO UPDATE SET {changed} WHERE {differs}"
        )

    def _drop_left_behind(self, asking: cursor) -> None:
        schema, name = parts(self.target.settings.table)
        start = name.encode()[: 63 - len(_MARK) - 12].decode(errors="ignore") + _MARK
        asking.execute(
            "SELECT relname::text, obj_description(oid, 'pg_class') FROM pg_class WHERE relkind = 'r' AND starts_with(relname::text, %s) "
            "AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %s::regclass)",
            [start, self.target.settings.table],
        )
        for left, said in asking.fetchall():
            made = (said or "").removeprefix("synml_vectors ")
            if made.isdigit() and time.time() - int(made) > _LEFT_BEHIND:
                asking.execute(f"DROP TABLE IF EXISTS {schema}{quoted(left)}")


def _again(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
