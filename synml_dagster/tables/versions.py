"""Directories that are replaced whole: every version in a folder of its own, and a pointer that moves in one step.

Layout: `<root>/versions/<id>/...` holds the versions, `<root>/_current.json` names the one that readers see, and as
`before` those that they saw before it, without those that somebody has gone back from. A version counts from the moment its manifest `_version.json` is there, which is written last.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.files.filesystems import filesystem_of, is_remote, normal_path
from synml_dagster.processes import runs, this_process
from synml_dagster.tables.plain_folder import CLAIMS, RUN, check_place, plain_folder, real_root, show
from synml_dagster.turns import take_turns

POINTER = "_current.json"
MANIFEST = "_version.json"
# Without a manifest a version is being written, or its writer was killed; nobody writes one version for a week.
_ABANDONED = timedelta(days=7)
# Object stores have no locks: a version that another publisher finished just now may be about to become current.
_UNLOCKED_GRACE = timedelta(hours=1)
# Who reads a plain folder holds no lock and knows of no version: it has opened the folder and lists it while its files go.
_PLAIN_GRACE = timedelta(minutes=1)


class VersionedDirectory:
    """The versions under one root, local or on any file system that fsspec opens.

    Publishers that run at the same time do not harm each other: the last one to finish is current. On this host's
    file systems they take turns by a lock file; on object stores the pointer is one put, and versions finished
    within the last hour are never collected.

    Parameters
    ----------
    root
        A local path or a URI such as `s3://bucket/tables/adult`.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = normal_path(root)
        self.remote = is_remote(self.root)
        if not self.remote:
            self.root = real_root(self.root)
        self.plain = None if self.remote else plain_folder(self.root)

    def new_version(self) -> str:
        """Return an id that sorts by time and that no other publisher has."""
        if self.plain:
            check_place(self.plain)  # before anything is computed
        return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"

    def path(self, version: str) -> str:
        """Return where the files of `version` are."""
        return f"{self.root}/versions/{version}"

    def publish(self, version: str, manifest: dict[str, Any], keep: int) -> dict[str, Any]:
        """Make the written `version` the one that readers see, then remove those beyond the last `keep`.

        Those that readers saw last stay as well as those that were published last: who has put an earlier one back finds it again.

        Returns
        -------
        dict
            The manifest as stored: the given one with `version` and `created` (UTC, ISO 8601) added.
        """
        if keep < 1:
            raise ConfigError(f"keep must be at least 1, the version just published, but got {keep}")
        with self._alone():
            full = manifest | {"version": version, "created": datetime.now(UTC).isoformat()}
            self._write(f"{self.path(version)}/{MANIFEST}", full)
            if self.plain:  # before the pointer, which a link that cannot be made must not have moved
                show(self.plain, self._shown(version))
            finished = self.versions()
            before = [each for each in self._seen(finished) if each != version]
            self._point(full, before)
            self._collect(finished, {version, *finished[-keep:], *[*before, version][-keep:]})
        return full

    def restore(self, version: str | None = None) -> dict[str, Any]:
        """Let readers see a version that is kept, by default the one that they saw before; return its manifest.

        Raises
        ------
        SourceError
            Nothing was published, that version is not kept, or there is none before the current one.
        """
        with self._alone():
            kept, current = self.versions(), self.manifest()["version"]
            before = self._seen(kept)[:-1]
            if version is None:
                if not before:
                    raise SourceError(
                        f"{self.root!r} keeps no version from before {current!r}; the versions kept are {kept}"
                    )
                version = before[-1]
            manifest = self.manifest(version)
            if self.plain:
                show(self.plain, self._shown(version))
            # What is gone back from does not come back by itself, also after newer ones.
            if version in before:
                before = before[: before.index(version)]
            elif version != current:
                before = [*before, current]
            self._point(manifest, before)
        return manifest

    def discard(self, version: str) -> None:
        """Remove what an unfinished write left; nothing happens where nothing is."""
        if self.remote:
            filesystem, path = self._filesystem(self.path(version))
            if filesystem.exists(path):
                filesystem.rm(path, recursive=True)
        else:
            # Gone in one step: a reader that lists the folder while its files go, one by one, would see a part of them.
            folder = self.path(version)
            going = f"{self.root}/.going-{uuid.uuid4().hex[:8]}"
            try:
                os.rename(folder, going)
            except OSError:
                going = folder
            shutil.rmtree(going, ignore_errors=True)
            (Path(self.root) / CLAIMS / version).unlink(missing_ok=True)

    def claim(self, version: str) -> None:
        """Say that this process writes `version`, which is never to be published: `discard_left` asks whether it still runs."""
        if not self.remote:
            claims = Path(self.root) / CLAIMS
            claims.mkdir(parents=True, exist_ok=True)
            (claims / version).write_text(this_process(), encoding="utf-8")

    def discard_left(self) -> None:
        """Remove unfinished versions whose process was killed, and on other hosts or an object store those of a week ago."""
        finished, now = self.versions(), datetime.now(UTC)
        for version in self._folders():
            if version in finished:
                continue
            claim = Path(self.root) / CLAIMS / version
            alive = None
            if not self.remote and claim.exists():
                alive = runs(claim.read_text(encoding="utf-8"))
            if alive is False or (alive is None and now - _started(version) > _ABANDONED):
                self.discard(version)

    def current(self) -> str | None:
        """Return the id of the version that readers see, or None where nothing was published yet."""
        pointer = self._read(f"{self.root}/{POINTER}")
        return None if pointer is None else str(pointer["version"])

    def _seen(self, kept: list[str]) -> list[str]:
        """Return which of the versions that are `kept` readers saw, the current one last; an old pointer knows of that one alone."""
        pointer = self._read(f"{self.root}/{POINTER}")
        if pointer is None:
            return []
        current, before = str(pointer["version"]), pointer.get("before")
        if before is None:
            before = kept[: kept.index(current)] if current in kept else kept
        return [each for each in [*before, current] if each in kept]

    def _point(self, manifest: dict[str, Any], before: list[str]) -> None:
        told = {"version": manifest["version"], "created": manifest["created"], "before": before}
        self._write(f"{self.root}/{POINTER}", told)

    def manifest(self, version: str | None = None) -> dict[str, Any]:
        """Return the manifest of `version`, by default the current one.

        Raises
        ------
        SourceError
            Nothing was published, or that version was not or is no longer there.
        """
        wanted = version or self.current()
        if wanted is None:
            raise SourceError(
                f"nothing has been published under {self.root!r} yet. Materialize the asset that writes it first."
            )
        found = self._read(f"{self.path(wanted)}/{MANIFEST}")
        if found is None:
            raise SourceError(
                f"version {wanted!r} of {self.root!r} is not there; the versions kept are {self.versions()}"
            )
        return found

    def versions(self) -> list[str]:
        """Return the ids of the finished versions, oldest publication first."""
        finished = [
            (str(m["created"]), v)
            for v in self._folders()
            if (m := self._read(f"{self.path(v)}/{MANIFEST}")) is not None
        ]
        return [version for _, version in sorted(finished)]

    def _shown(self, version: str) -> str:
        """The folder of a version that a plain link shows: of a run's rows that which is named after the run, as the link is."""
        path, name = self.path(version), os.path.basename(self.plain or "")
        if not name.startswith(f"{RUN}="):
            return path
        # Found and not made of the run's name: Spark writes some of its characters in another way than the link does.
        there = next((each for each in os.listdir(path) if each.startswith(f"{RUN}=")), None)
        if there is None:  # no rows, no folder
            os.makedirs(f"{path}/{name}")
        return f"{path}/{there or name}"

    def _collect(self, finished: list[str], spared: set[str]) -> None:
        now = datetime.now(UTC)
        for version in self._folders():
            if version in spared:
                continue
            age = now - _started(version)
            if version not in finished:
                old_enough = age > _ABANDONED
            elif self.plain:
                successor = finished[finished.index(version) + 1]
                old_enough = now - self._created(successor) > _PLAIN_GRACE
            else:
                old_enough = age > _UNLOCKED_GRACE if self.remote else True
            if old_enough:
                self.discard(version)

    def _created(self, version: str) -> datetime:
        found = self._read(f"{self.path(version)}/{MANIFEST}") or {}
        return datetime.fromisoformat(str(found.get("created", datetime.now(UTC).isoformat())))

    def _folders(self) -> list[str]:
        folder = f"{self.root}/versions"
        if self.remote:
            filesystem, path = self._filesystem(folder)
            filesystem.invalidate_cache(path)
            names = (
                [
                    e.rstrip("/").rsplit("/", 1)[-1]
                    for e in filesystem.ls(path, detail=False)
                    if filesystem.exists(path)
                ]
                if filesystem.exists(path)
                else []
            )
        else:
            names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(n for n in names if _is_version(n))

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            if self.remote:
                filesystem, inside = self._filesystem(path)
                text = filesystem.cat_file(inside).decode()
            else:
                text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            found = json.loads(text)
        except ValueError as problem:
            raise SourceError(f"{path!r} is not JSON: {problem}. Publish again to replace it.") from problem
        return dict(found)

    def _write(self, path: str, content: dict[str, Any]) -> None:
        data = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
        if self.remote:
            filesystem, inside = self._filesystem(path)
            filesystem.pipe_file(inside, data)
            return
        handle, temporary = tempfile.mkstemp(prefix=".publishing-", dir=os.path.dirname(path))
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the table from every other user
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @contextmanager
    def _alone(self, seconds: float = 60) -> Iterator[None]:
        if self.remote:
            yield
            return
        busy = SourceError(
            f"another process has been publishing under {self.root!r} for {seconds:.0f} s; "
            "is it stuck? Ending it frees its lock."
        )
        with take_turns(f"{self.root}/.lock", busy, seconds):
            yield

    def _filesystem(self, path: str) -> tuple[Any, str]:
        return filesystem_of(path)


def _is_version(name: str) -> bool:
    return len(name) == 30 and name[8] == "T" and name[21] == "-"


def _started(version: str) -> datetime:
    return datetime.strptime(version[:21], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
