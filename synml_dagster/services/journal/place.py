"""Where a journal lies: a folder for each service and its parameters, in it the answers of all runs and a ledger of each.

<root>/<name>-<fingerprint>/service.json                 the description, for people
                           /answers/run=<id>/*.parquet   finished answers, typed
                           /answers/run=<id>/_*.log      those of a sender that is at work, or was killed
                           /ledger/run=<id>/*.parquet    what became of each row of a run, and what it took
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError
from synml_dagster.files.filesystems import filesystem_of, is_remote, normal_path

if TYPE_CHECKING:
    from synml_dagster.services.description import Service


@dataclass(frozen=True)
class Place:
    """The folder of one service in a journal, and the run that writes to it."""

    folder: str
    run: str

    @classmethod
    def of(cls, root: str, service: Service, run: str) -> Place:
        """Return the place of a service under the root of a journal."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", service.name).strip("-.") or "service"
        return cls(f"{normal_path(root)}/{name}-{service.fingerprint()}", run)

    @property
    def answers(self) -> str:
        """The folder of all finished answers."""
        return f"{self.folder}/answers"

    @property
    def own(self) -> str:
        """The folder of those of this run."""
        return f"{self.answers}/run={self.run}"

    @property
    def ledger(self) -> str:
        """The folder of this run's ledger."""
        return f"{self.folder}/ledger/run={self.run}"

    @property
    def remote(self) -> bool:
        """Whether it is on another file system than this host's, where files cannot be added to."""
        return is_remote(self.folder)

    def create(self, told: str) -> None:
        """Make the folders, and write `told`, the description, beside the answers.

        Raises
        ------
        SetupError
            They cannot be made.
        """
        try:
            filesystem, inside = filesystem_of(self.folder)
            for folder in ("answers", f"answers/run={self.run}"):
                filesystem.makedirs(f"{inside}/{folder}", exist_ok=True)
            with filesystem.open(f"{inside}/service.json", "wb") as file:
                file.write(told.encode())
        except OSError as problem:
            raise SetupError(f"journal: {self.folder!r} cannot be written: {problem}") from problem


def files_in(folder: str, ending: str) -> list[str]:
    """Return the files below a folder whose names end so, by paths as `folder` is written."""
    filesystem, inside = filesystem_of(folder)
    filesystem.invalidate_cache()
    inside = inside.rstrip("/")
    try:
        found: list[Any] = filesystem.find(inside)
    except FileNotFoundError:
        return []
    return sorted(folder + str(path).removeprefix(inside) for path in found if str(path).endswith(ending))
