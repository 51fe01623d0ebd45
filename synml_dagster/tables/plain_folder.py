"""A folder that any program reads as a plain Parquet table, while its versions lie beside it.

Readers such as pandas take every file below a folder that they are given, and would take those of older versions too.
So the versions of `scores` are in `.scores.versions` beside it, a name that Spark and Arrow pass over, and `scores` is a
symbolic link to the current one, which is replaced in one step. With partitions, `scores` is a folder of such links,
`partition=<key>`; where each run appends, the whole table or each partition is a folder of links `run_id=<run>`. The names of a
version's files are its own: who listed the former version and opens it late finds a file gone, and never reads half of each.

One gap no folder can close: Arrow, and so pandas, lists the names in a folder and then asks for each by its path, passing over
those that are gone. Where the link moves between the two, which are microseconds apart, it finds no file at all, and
answers a table without columns. `open_table` has no such gap.
"""

from __future__ import annotations

import os
import shutil
import uuid

from synml_dagster.errors import ConfigError

CLAIMS = ".claims"
"""Beside the versions: who writes one that is never to be published."""

PARTITION = "partition"
"""The column that holds the partition's key, where there are partitions."""

RUN = "run_id"
"""The column that says which run has appended a row."""

_END = ".versions"
_PARTS, _RUNS = "partitions", "runs"
_PART, _RUN = f"{PARTITION}=", f"{RUN}="


def versions_beside(folder: str) -> str:
    """Return where the versions of a plain folder on this host lie.

    Examples
    --------
    >>> versions_beside("/srv/scores")
    '/srv/.scores.versions'
    """
    parent, name = os.path.split(folder)
    return f"{parent}/.{name}{_END}"


def plain_folder(root: str) -> str | None:
    """Return the link that shows the current version under `root`, None where it is not the place of such versions.

    Examples
    --------
    >>> plain_folder("/srv/.scores.versions"), plain_folder("/srv/.scores.versions/partitions/a")
    ('/srv/scores', '/srv/scores/partition=a')
    >>> plain_folder("/srv/.scores.versions/partitions/a/runs/b")
    '/srv/scores/partition=a/run_id=b'
    >>> plain_folder("/srv/runs/.scores.versions")
    '/srv/runs/scores'
    >>> plain_folder("/srv/scores") is None
    True
    """
    home, keys = _home(root)
    parent, name = os.path.split(home)
    if not _holds_versions(name):
        return None
    return "/".join([f"{parent}/{name[1 : -len(_END)]}", *(mark + key for mark, key in keys)])


def real_root(root: str) -> str:
    """Return where the versions that are seen at `root` lie: `root` itself, or, of a plain folder, the place beside it."""
    home, keys = _home(root)
    place = "/".join([versions_beside(home), *(f"{_FOLDERS[mark]}/{key}" for mark, key in keys)])
    # A folder of links to runs is none itself.
    linked = (
        os.path.islink(root) or bool(keys) or not os.path.exists(root) or os.path.isdir(f"{place}/{_RUNS}")
    )
    there = os.path.exists(f"{place}/versions") or os.path.isdir(f"{place}/{_RUNS}")
    return place if linked and there else root


def check_place(folder: str) -> None:
    """Refuse a folder that holds what no publication has put there: it would be lost.

    Raises
    ------
    ConfigError
    """
    base, _ = _home(folder)
    if os.path.islink(base):
        if _ours(base):
            return
        raise ConfigError(
            f"{base!r} is a symbolic link to {os.readlink(base)!r}, which would be replaced. Name a folder in it."
        )
    if not os.path.isdir(base):
        if os.path.exists(base):
            raise ConfigError(f"{base!r} is a file, and a folder is to be written. Choose another name.")
        return
    known = {"versions", _PARTS, "_current.json", ".lock", CLAIMS}
    strange = [n for n in sorted(os.listdir(base)) if n not in known and not _shown(f"{base}/{n}")]
    if strange:
        raise ConfigError(
            f"{base!r} holds {', '.join(map(repr, strange[:3]))}, which is no version of this table, and the folder is "
            "replaced whole. Name another folder, or remove what is in it."
        )


def show(folder: str, version: str) -> None:
    """Let `folder` be the version that lies in the folder `version`: a link that is replaced in one step."""
    base, name = os.path.split(folder)
    if name.startswith((_PART, _RUN)):
        for above in (os.path.dirname(base), base) if name.startswith(_RUN) else (base,):
            # It was one table before, and has partitions or runs now.
            if os.path.islink(above) and _ours(above):
                os.unlink(above)
        _adopt(base)
        os.makedirs(base, exist_ok=True)
    if os.path.isdir(folder) and not os.path.islink(folder):
        _adopt(folder)
        for part in os.listdir(folder):  # links to partitions or runs that it had before
            _unlink(f"{folder}/{part}")
        try:
            os.rmdir(folder)
        except OSError as problem:
            raise ConfigError(
                f"{folder!r} cannot be replaced ({problem.strerror}); is it a mounted disk? Name a folder in it."
            ) from problem
    # Relative, so that the two may be moved together, or be mounted elsewhere.
    fresh = f"{base}/.{name}.{uuid.uuid4().hex[:8]}"
    os.symlink(os.path.relpath(version, base), fresh)
    try:
        os.replace(fresh, folder)
    except BaseException:
        os.unlink(fresh)
        raise


def _adopt(folder: str) -> None:
    """Move the versions of an earlier release, which lay in the folder itself, beside it."""
    beside = versions_beside(folder)
    if os.path.isdir(f"{folder}/versions"):
        os.makedirs(f"{beside}/versions", exist_ok=True)
        for version in os.listdir(f"{folder}/versions"):
            os.rename(f"{folder}/versions/{version}", f"{beside}/versions/{version}")
        shutil.rmtree(f"{folder}/versions")
    if os.path.isdir(f"{folder}/{_PARTS}"):
        os.makedirs(f"{beside}/{_PARTS}", exist_ok=True)
        for key in os.listdir(f"{folder}/{_PARTS}"):
            if os.path.exists(f"{beside}/{_PARTS}/{key}/_current.json"):
                continue  # its newer version is there already
            shutil.rmtree(f"{beside}/{_PARTS}/{key}", ignore_errors=True)
            os.rename(f"{folder}/{_PARTS}/{key}", f"{beside}/{_PARTS}/{key}")
            _show_current(f"{folder}/{_PART}{key}", f"{beside}/{_PARTS}/{key}")
        shutil.rmtree(f"{folder}/{_PARTS}")
    for name in ("_current.json", ".lock"):
        if os.path.exists(f"{folder}/{name}"):
            os.unlink(f"{folder}/{name}")
    shutil.rmtree(f"{folder}/{CLAIMS}", ignore_errors=True)


def _show_current(link: str, root: str) -> None:
    import json

    try:
        with open(f"{root}/_current.json", encoding="utf-8") as pointer:
            version = json.load(pointer)["version"]
    except (OSError, ValueError, KeyError):  # nothing was ever published there
        return
    os.symlink(os.path.relpath(f"{root}/versions/{version}", os.path.dirname(link)), link)


def _ours(link: str) -> bool:
    return os.path.basename(versions_beside(link)) in os.readlink(link).split("/")


def _shown(entry: str) -> bool:
    """Whether an entry of a plain folder is a link to a version, or a folder of links to runs."""
    name = os.path.basename(entry).removeprefix(".")
    if os.path.islink(entry):
        return name.startswith((_PART, _RUN))
    return name.startswith(_PART) and all(os.path.islink(f"{entry}/{n}") for n in os.listdir(entry))


def _unlink(entry: str) -> None:
    if os.path.islink(entry) or not os.path.isdir(entry):
        os.unlink(entry)
        return
    for run in os.listdir(entry):
        os.unlink(f"{entry}/{run}")
    os.rmdir(entry)


_FOLDERS = {_PART: _PARTS, _RUN: _RUNS}


def _home(root: str) -> tuple[str, list[tuple[str, str]]]:
    """The folder of the whole table, and the partition's key and the run's where `root` is that of one, each with its mark."""
    keys: list[tuple[str, str]] = []
    for mark in (_RUN, _PART):  # from the inside out
        parent, key = os.path.split(root)
        if os.path.basename(parent) == _FOLDERS[mark] and _has_parts(os.path.dirname(parent), key):
            root, keys = os.path.dirname(parent), [(mark, key), *keys]
        elif key.startswith(mark):
            root, keys = parent, [(mark, key.removeprefix(mark)), *keys]
    return root, keys


def _has_parts(home: str, key: str) -> bool:
    """Whether a folder is that of a table with partitions or runs, and none that happens to hold another one called so."""
    if key.startswith("."):  # no key is written so: it is the place of versions, in somebody's folder `runs`
        return False
    above, name = os.path.split(home)
    if _holds_versions(name) or name.startswith(_PART) or os.path.isdir(versions_beside(home)):
        return True
    return os.path.basename(above) == _PARTS and _has_parts(os.path.dirname(above), name)


def _holds_versions(name: str) -> bool:
    return name.startswith(".") and name.endswith(_END) and len(name) > len(_END) + 1
