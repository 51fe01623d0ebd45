"""Opens MLflow without its noise, and makes a fresh SQLite store in a moment where MLflow takes seconds."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from synml_dagster.cache import cache_directory
from synml_dagster.errors import SetupError
from synml_dagster.redaction import without_secrets

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_NOISY = ("mlflow", "alembic")


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client of the tracking store and its registry; a SQLite store is created where there is none.

    Raises
    ------
    SetupError
        The store cannot be opened or reached.
    """
    # Nothing that a user has not asked for leaves this host.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    file = sqlite_file(tracking_uri)
    if file is not None:
        create_store(file)
    try:
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        client.search_experiments(max_results=1)
    except Exception as problem:
        raise SetupError(
            f"mlflow: no tracking store at {tracking_uri!r}: {_first_line(problem)}. Is it running, and can this host reach it?"
        ) from without_secrets(problem)
    return client


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the file of a SQLite store, None for other stores."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(tracking_uri.removeprefix("sqlite:///").split("?")[0])


def is_shared(tracking_uri: str) -> bool:
    """Whether other hosts may use the same store: it is no file of this one.

    Examples
    --------
    >>> [is_shared(uri) for uri in ("http://mlflow:5000", "postgresql://db/mlflow", "databricks", "sqlite:////srv/mlflow.db", "./mlruns")]
    [True, True, True, False, False]
    """
    return tracking_uri.startswith("databricks") or urlparse(tracking_uri).scheme not in (
        "",
        "file",
        "sqlite",
    )


def create_store(file: Path) -> None:
    """Make the SQLite store `file` where it is missing.

    MLflow builds an empty store by replaying years of migrations, in seconds of CPU. Its result is the same each time
    for one version of MLflow, so the first one made on this host is kept, still empty, and copied from then on.
    """
    if file.exists():
        return
    import mlflow
    from mlflow.store.db.utils import _initialize_tables

    file.parent.mkdir(parents=True, exist_ok=True)
    kept = cache_directory() / f"mlflow-{mlflow.__version__}.db"
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=file.parent) as folder:
        fresh = Path(folder) / "fresh.db"
        if kept.exists():
            shutil.copyfile(kept, fresh)
        else:
            import sqlalchemy

            engine = sqlalchemy.create_engine(f"sqlite:///{fresh}")
            # Nobody else has this file; `_safe_initialize_tables` would leave a lock in the temporary folder for ever.
            _initialize_tables(engine)
            engine.dispose()
            with contextlib.suppress(OSError):  # a home that cannot be written to costs seconds, nothing else
                _keep(fresh, kept)
        with contextlib.suppress(FileExistsError):  # a step that runs beside this one was first
            os.link(fresh, file)


def _keep(fresh: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=kept.parent)
    os.close(handle)
    shutil.copyfile(fresh, temporary)
    os.replace(temporary, kept)


def _first_line(problem: BaseException) -> str:
    return next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__).rstrip(
        "."
    )
