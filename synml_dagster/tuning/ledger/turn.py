"""Sweeps over one database take turns: one at a time makes it, takes over what killed ones left, or begins a trial."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import TrainingError
from synml_dagster.tuning.ledger.database import (
    MYSQL,
    OPENING,
    connect_options,
    shown,
    typed,
    within_deadline,
)
from synml_dagster.turns import take_turns

if TYPE_CHECKING:
    import sqlalchemy

_SECONDS = 60.0
_BETWEEN = 0.02
_NOTICE = {
    "postgresql": "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
    **dict.fromkeys(MYSQL, "SET SESSION wait_timeout = 300"),  # no turn is silent for so long
}
"""How a server comes to notice that a host is gone without a word: by itself it would keep its lock for hours."""


class Turns:
    """The turns at one storage.

    PostgreSQL and MySQL keep the lock themselves, for all hosts, and let it go with the connection. A file of SQLite has a
    lock file beside it. At any other database the processes of this host alone take turns.

    Parameters
    ----------
    storage
        A file, or a database's address.
    """

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._name = hashlib.sha256(storage.rpartition("@")[2].encode()).hexdigest()[:16]
        self._engine: sqlalchemy.Engine | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let no other sweep into the block.

        Raises
        ------
        TrainingError
            Another process has had its turn for a minute.
        SetupError
            The database does not answer.
        """
        busy = TrainingError(
            f"sweep: another process has been opening the study in {shown(self._storage)!r} for {_SECONDS:.0f} s; is it stuck? Ending it frees its lock."
        )
        is_address = "://" in self._storage
        kind = self._storage.partition("://")[0].partition("+")[0] if is_address else ""
        if kind in _NOTICE:
            with self._at_the_server(kind, busy):
                yield
            return
        file = (
            Path(tempfile.gettempdir()) / f"synml-sweep-{self._name}.lock"
            if is_address  # which is no path, and may hold a password
            else Path(f"{self._storage}.lock")
        )
        with take_turns(file, busy, _SECONDS):
            yield

    @contextmanager
    def _at_the_server(self, kind: str, busy: TrainingError) -> Iterator[None]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        number = int(self._name, 16) - 2**63  # PostgreSQL's are signed
        # A lock of a transaction is also kept where a pool between here and the server gives each transaction another connection.
        take = {
            "postgresql": text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(lock=number),
        }.get(kind, text("SELECT GET_LOCK(:lock, 0)").bindparams(lock=f"synml-sweep-{self._name}"))
        free = text("SELECT RELEASE_LOCK(:lock)").bindparams(lock=f"synml-sweep-{self._name}")
        with typed(self._storage, *OPENING):
            connection = within_deadline(self._connected)
        try:
            end = time.monotonic() + _SECONDS
            with typed(self._storage):
                while not connection.execute(take).scalar():
                    if time.monotonic() > end:
                        raise busy
                    time.sleep(_BETWEEN)
            try:
                yield
            finally:
                with suppress(SQLAlchemyError):  # a connection that broke has let the lock go
                    if kind != "postgresql":
                        connection.execute(free)
                    connection.rollback()
        finally:
            connection.close()

    def _connected(self) -> sqlalchemy.Connection:
        import sqlalchemy

        if self._engine is None:
            self._engine = sqlalchemy.create_engine(
                self._storage, pool_pre_ping=True, pool_size=1, connect_args=connect_options(self._storage)
            )
            if (notice := _NOTICE.get(self._engine.dialect.name)) is not None:
                sqlalchemy.event.listen(self._engine, "connect", lambda made, _: _execute(made, notice))
        return self._engine.connect()


def _execute(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.commit()  # or the first rollback would take it back
