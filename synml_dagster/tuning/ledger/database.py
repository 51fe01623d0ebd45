"""Where studies lie: a file of SQLite, or a database by its address."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synml_dagster.errors import SetupError, SynmlError, did_you_mean
from synml_dagster.redaction import redacted

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

_CONNECT_SECONDS = 10
_OPEN_SECONDS = 60.0
"""A database that has not answered by then is not waited for: some drivers have no deadline of their own."""
_SILENCE_SECONDS = 120
"""A connection over which nothing comes for so long is given up."""
_DEADLINES: dict[str, dict[str, Any]] = {
    "psycopg": {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * _SILENCE_SECONDS,
    },
    "pymysql": {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _SILENCE_SECONDS,
        "write_timeout": _SILENCE_SECONDS,
    },
    "mysqldb": {"connect_timeout": _CONNECT_SECONDS},
    "mysqlconnector": {"connection_timeout": _CONNECT_SECONDS},
}
_DEADLINES["psycopg2"] = _DEADLINES["psycopg"]
_BRINGS = {
    "psycopg2": "pip install 'synml-dagster[postgres]'",
    "psycopg": "pip install 'psycopg[binary]'",
    "pymysql": "pip install 'synml-dagster[mysql]'",
    "mysqldb": "pip install mysqlclient",
}
OPENING = (ImportError, OSError, RuntimeError, ValueError)
"""What opening a database raises beside the errors of SQLAlchemy: RuntimeError is Optuna's where its tables are of another version."""
MYSQL = ("mysql", "mariadb")
_KINDS = ("postgresql", *MYSQL, "mssql", "oracle", "sqlite")
T = TypeVar("T")


def open_database(storage: str) -> optuna.storages.RDBStorage:
    """Open or make the database of studies.

    Raises
    ------
    SetupError
        There is none at the address, its driver is missing, or it cannot be reached within a minute.
    """
    import optuna

    if "://" not in storage:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        database = optuna.storages.RDBStorage(
            f"sqlite:///{storage}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        _without_waiting_for_the_disk(database.engine)
        return database
    with typed(storage, *OPENING):
        options = {"pool_pre_ping": True, "connect_args": connect_options(storage)}
        return within_deadline(lambda: optuna.storages.RDBStorage(storage, engine_kwargs=options))


def check_database(storage: str, seconds: float = _OPEN_SECONDS) -> None:
    """Refuse a database that does not answer, before there is any work for it.

    Raises
    ------
    SetupError
        See `open_database`.
    """
    import sqlalchemy

    def ask() -> None:
        engine = sqlalchemy.create_engine(storage, connect_args=connect_options(storage))
        try:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.select(1))
        finally:
            engine.dispose()

    with typed(storage, *OPENING):
        within_deadline(ask, seconds)


def clock(database: optuna.storages.RDBStorage) -> float:
    """Return the seconds of the database's own clock, which all hosts share."""
    import sqlalchemy

    # MySQL's current time is that of the server's place, and names no zone: summer would begin with an hour of silence.
    places = database.engine.dialect.name in MYSQL
    ask = sqlalchemy.func.utc_timestamp if places else sqlalchemy.func.current_timestamp
    with database.engine.connect() as connection:
        now: datetime = connection.execute(sqlalchemy.select(ask())).scalar_one()
    return (now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp()


@contextmanager
def at_once(database: optuna.storages.RDBStorage) -> Iterator[None]:
    """Make one transaction of all that Optuna writes in the block, in this thread: a kill finds all of it or nothing.

    By itself Optuna commits each parameter and each attribute. What it reads in between is what it has written.

    Raises
    ------
    optuna.exceptions.StorageInternalError
        A part of it was rolled back, and so all of it.
    """
    import optuna

    own = database.scoped_session
    session = _OneTransaction(own())
    database.scoped_session = lambda: session  # type: ignore[assignment]
    try:
        yield
        if session.undone:
            said = "the database has refused what was to be kept"
            raise optuna.exceptions.StorageInternalError(said) from session.why
        session.whole.commit()
    except BaseException:
        session.whole.rollback()
        raise
    finally:
        database.scoped_session = own
        session.whole.close()


class _OneTransaction:
    """A session whose commits wait for the end of the block."""

    def __init__(self, whole: Any) -> None:
        self.whole, self.undone = whole, False
        self.why: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def commit(self) -> None:
        self.whole.flush()

    def rollback(self) -> None:
        if not self.undone:  # Optuna tries some statements again, in the same block
            self.undone, self.why = True, sys.exc_info()[1]
        self.whole.rollback()

    def close(self) -> None:
        self.whole.expunge_all()  # what is read next is read from the database


@contextmanager
def typed(storage: str, *more: type[Exception]) -> Iterator[None]:
    """Say of any error of the database, and of those in `more`, where it is and what to look at, and nothing of the password.

    Raises
    ------
    SetupError
        The database does not answer, or not as one.
    """
    import optuna
    import sqlalchemy.exc

    known: tuple[type[Exception], ...] = (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        *more,
    )
    try:
        yield
    except SynmlError:
        raise
    except known as problem:
        raise SetupError(
            f"sweep.storage: no study can be kept in {shown(storage)!r}: {_said(storage, problem)}"
        ) from None


def shown(storage: str) -> str:
    """Return an address as people get to see it."""
    return redacted(storage, _secrets(storage))


def connect_options(storage: str) -> dict[str, Any]:
    """Return the deadlines that a driver takes, but those that the address says itself."""
    import sqlalchemy

    url = sqlalchemy.make_url(storage)
    known = _DEADLINES.get(url.get_driver_name(), {})
    return {name: value for name, value in known.items() if name not in url.query}


def within_deadline(work: Callable[[], T], seconds: float = _OPEN_SECONDS) -> T:
    """Return what `work`, which opens a database, returns in a thread of its own.

    Raises
    ------
    TimeoutError
        It has not ended within `seconds`; the thread is left to itself.
    """
    ended: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except BaseException as problem:
            ended.put((None, problem))

    threading.Thread(target=run, name="opens-a-database", daemon=True).start()
    try:
        found, problem = ended.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if problem is not None:
        raise problem
    return found  # type: ignore[return-value]


def _said(storage: str, problem: BaseException) -> str:
    import sqlalchemy.exc

    while isinstance(problem.__cause__, Exception):  # Optuna's own words say nothing of the database
        problem = problem.__cause__
    if isinstance(problem, sqlalchemy.exc.ArgumentError) and not isinstance(
        problem, sqlalchemy.exc.NoSuchModuleError
    ):
        return "it is no address. Write postgresql+psycopg2://user:password@host:5432/database; in user and password %40 stands for @, %2F for /."
    if isinstance(problem, sqlalchemy.exc.NoSuchModuleError):
        kind = storage.partition("://")[0]
        return f"there is no kind of database {kind!r}.{did_you_mean(kind.partition('+')[0], _KINDS)} PostgreSQL is postgresql+psycopg2://, MySQL is mysql+pymysql://."
    if isinstance(problem, ImportError):
        driver = sqlalchemy.make_url(storage).get_driver_name()
        return f"its driver {driver!r} is not installed: {_BRINGS.get(driver, f'pip install {driver}')}."
    first = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
    first = redacted(first, _secrets(storage)).rstrip(".")
    return f"{first}. Is the database there, may this user use it, and can this host reach it?"


def _secrets(storage: str) -> tuple[str, ...]:
    """Return the password of an address as it is and as it is written there."""
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return ()
    if not url.password:
        return ()
    written = storage.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return (str(url.password), *([written] if written else []))


def _without_waiting_for_the_disk(engine: sqlalchemy.Engine) -> None:
    """Let commits of a study return before the disk has them: a kill loses nothing then, a power cut the last trials.

    A trial is a dozen commits, each of which else waits for the disk, tens of milliseconds where others write too.
    """
    from sqlalchemy import event

    def ease(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", ease)
    engine.dispose()  # connections from before the listener
