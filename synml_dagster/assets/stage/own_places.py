"""What the pipeline writes stays out of the folder that it reads."""

from __future__ import annotations

import os

from synml_dagster.errors import ConfigError
from synml_dagster.files.filesystems import is_remote, normal_path
from synml_dagster.resources import DataDirectory
from synml_dagster.resources.data_directory import VARIABLE
from synml_dagster.sources import Source
from synml_dagster.sources.format import has_glob, local_path


def check_apart(source: Source, key: str, *scores: str | None) -> None:
    """Refuse a source folder in which the data directory or the scores lie: the next run would read them as rows.

    Parameters
    ----------
    source
        What is read.
    key
        The description's word for it.
    scores
        The description's `score.path` and `explain.contributions.path`.

    Raises
    ------
    ConfigError
        The folder holds one of them.
    """
    if not source.path or has_glob(source.path) or local_path(source.path) is None:
        return
    folder = os.path.realpath(normal_path(source.path))
    if not os.path.isdir(folder):
        return
    places = {
        f"the data directory; set {VARIABLE} to a folder outside of it": DataDirectory().resolved(),
    } | {
        f"the folder of {word}; name another one": normal_path(place)
        for word, place in zip(("score.path", "explain.contributions.path"), scores, strict=False)
        if place
    }
    for what, place in places.items():
        if is_remote(place):
            continue
        # Not the link that the scores' folder is, but where it stands.
        real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        if os.path.commonpath([folder, real]) == folder:
            raise ConfigError(
                f"{key}: the folder {source.path!r} would also hold what this pipeline writes, and the next run would read it as rows: "
                f"{place!r} is {what}, or read a folder of its own."
            )
