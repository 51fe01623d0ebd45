"""Where studies lie: a file of SQLite, or a database by its address; and the turns that processes take at it."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError, TrainingError
from synml_dagster.redaction import redacted
from synml_dagster.turns import take_turns

if TYPE_CHECKING:
    import optuna


def open_database(storage: str) -> optuna.storages.BaseStorage:
    """Open or make the database of studies.

    Raises
    ------
    SetupError
        There is none at the address, its driver is missing, or it cannot be reached.
    """
    import optuna

    if "://" not in storage:
        Path(storage).parent.mkdir(parents=True, exist_ok=True)
        database = optuna.storages.RDBStorage(
            f"sqlite:///{storage}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        _without_waiting_for_the_disk(database.engine)
        return database
    try:
        return optuna.storages.RDBStorage(
            storage, engine_kwargs={"pool_pre_ping": True}, skip_compatibility_check=False
        )
    except Exception as problem:
        first = redacted(str(problem).splitlines()[0] if str(problem) else type(problem).__name__)
        raise SetupError(
            f"sweep.storage: no study can be kept in {redacted(storage)!r}: {first}. Is the database there, is its driver installed, and can this host reach it?"
        ) from None


def turn_at(storage: str) -> AbstractContextManager[None]:
    """Let one sweep at a time make the database, take over what killed ones left, and begin a trial.

    Raises
    ------
    TrainingError
        Another process has had its turn for a minute.
    """
    busy = TrainingError(
        f"sweep: another process has been opening the study in {redacted(storage)!r} for 60 s; is it stuck? Ending it frees its lock."
    )
    return take_turns(_lock(storage), busy)


def _lock(storage: str) -> Path:
    if "://" not in storage:
        return Path(f"{storage}.lock")
    # Processes of this host take turns; for those of others the database's own transactions have to do.
    name = hashlib.sha256(storage.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"synml-sweep-{name}.lock"


def _without_waiting_for_the_disk(engine: Any) -> None:
    """Let commits of a study return before the disk has them: a kill loses nothing then, a power cut the last trials.

    A trial is a dozen commits, each of which else waits for the disk, tens of milliseconds where others write too.
    """
    from sqlalchemy import event

    def ease(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", ease)
    engine.dispose()  # connections from before the listener
