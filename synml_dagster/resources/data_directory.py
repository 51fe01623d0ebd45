"""The data directory: one place, named here and nowhere else, for whatever the embedded default stores."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from synml_dagster.cache import cache_directory
from synml_dagster.errors import ConfigError
from synml_dagster.files.filesystems import is_remote, normal_path

VARIABLE = "SYNML_DATA_DIR"


@dataclass(frozen=True)
class DataDirectory:
    """Where tables, bundles, studies, checkpoints and the MLflow store are.

    Parameters
    ----------
    root
        A local path or a URI. None means the environment's `SYNML_DATA_DIR`, else `$DAGSTER_HOME/synml_data`, else
        `synml_data` in the working directory, or `data` where an earlier release has put its MLflow store there.

    Examples
    --------
    >>> DataDirectory("/srv/ml").path("adult", "raw")
    '/srv/ml/adult/raw'
    """

    root: str | None = None

    def resolved(self) -> str:
        """Return the directory as an absolute path or a URI; it need not exist."""
        if self.root:
            return normal_path(self.root)
        if named := os.environ.get(VARIABLE):
            return normal_path(named)
        home = os.environ.get("DAGSTER_HOME")
        if home:
            return normal_path(os.path.join(home, "synml_data"))
        # People keep tables of their own in `data`; it was the default once, and what is there must be found again.
        return normal_path("data" if os.path.isdir("data/mlflow") else "synml_data")

    def path(self, *parts: str) -> str:
        """Return a path under the directory; nothing is created."""
        return "/".join([self.resolved(), *parts])

    def kept_here(self, *parts: str) -> Path:
        """Return a path under the directory, or under this user's cache where the directory is on an object store.

        For what has to be a local file and is missed, but not needed, on another host: a study goes on where it was begun.
        """
        root = self.resolved()
        if not is_remote(root):
            return Path(self.path(*parts))
        return cache_directory() / hashlib.sha256(root.encode()).hexdigest()[:16] / Path(*parts)

    def local(self, *parts: str) -> Path:
        """Return a path under the directory for what cannot live on an object store, a SQLite file for example.

        Raises
        ------
        ConfigError
            The data directory is not on this host's file systems.
        """
        if is_remote(self.resolved()):
            raise ConfigError(
                f"{'/'.join(parts)} needs a local data directory and {self.resolved()!r} is not one. "
                "Set MLFLOW_TRACKING_URI and the other services' addresses, or a local SYNML_DATA_DIR."
            )
        return Path(self.path(*parts))
