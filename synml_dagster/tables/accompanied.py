"""Rows that are published together with small files about them, which the version carries from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError
from synml_dagster.files.filesystems import filesystem_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.files import ParquetFiles
    from synml_dagster.tables.table import Table
    from synml_dagster.tables.task_writes import MadeRows


@dataclass(frozen=True)
class Accompanied:
    """A table to be, and texts by the name of their file.

    Attributes
    ----------
    rows
        What an IO manager of tables takes: a DataFrame, `ParquetFiles`, `MadeRows`.
    texts
        Names begin with `_`, as Spark passes over such files.
    """

    rows: DataFrame | ParquetFiles | MadeRows
    texts: Mapping[str, str]


def write_texts(path: str, texts: Mapping[str, str]) -> None:
    """Write the texts into the folder `path` of a version that no reader sees yet."""
    filesystem, inside = filesystem_of(path)
    for name, text in texts.items():
        with filesystem.open(f"{inside}/{name}", "wb") as file:
            file.write(text.encode())


def read_text(table: Table, name: str) -> str:
    """Return the text that was published with a table.

    Raises
    ------
    SourceError
        There is none: the table was written by something else, or by an earlier version of this package.
    """
    filesystem, inside = filesystem_of(table.path)
    try:
        with filesystem.open(f"{inside}/{name}", "rb") as file:
            text: str = file.read().decode()
            return text
    except FileNotFoundError as problem:
        raise SourceError(
            f"the table {table.root!r} has no {name!r} in its version {table.version}: it was not made by this version of synml_dagster. Materialize it again."
        ) from problem
