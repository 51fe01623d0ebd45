"""Tables to which each run appends its rows: a table of its own for each run, under one root, read as one.

The rows of one run are replaced whole or not at all, as those of any table, whatever other runs do at the same time: no two runs
write in one place, and none has to know of the others. So it needs no lock, on object stores either.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.tables.opening import open_version, run_root, run_roots
from synml_dagster.tables.plain_folder import PARTITION, RUN
from synml_dagster.tables.publish import publish_table
from synml_dagster.tables.versions import VersionedDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from synml_dagster.tables.table import Table


def append_table(
    df: DataFrame,
    root: str,
    *,
    run: str,
    partition_by: Sequence[str] = (),
    cut: str = "",
    keep: int = 3,
    stamped: bool = False,
) -> Table:
    """Make the rows of `df` those of one run in the table under `root`; rows of other runs stay, and readers see the former or the new ones.

    `open_table` then reads the rows of all runs, with the column `run_id`. Other readers of the folder would also find what a run had
    appended before it came again.

    Parameters
    ----------
    run
        Whose rows they are: what it appended before is replaced.
    partition_by, cut, keep
        As for `publish_table`.
    stamped
        Whether `df` has the column `run_id` already.

    Returns
    -------
    Table
        The rows of this run alone.

    Raises
    ------
    DataError
        A column is called `run_id`, or has another type than in the rows of earlier runs; or as for `publish_table`.
    ConfigError
        The place holds a table that is replaced whole, or one of another layout, or the run has no name.
    """
    from pyspark.sql import functions as sf

    own = run_root(root, run)
    columns = [name for name in df.columns if not (stamped and name == RUN)]
    check_append(root, columns, df.schema.json(), own, (RUN, *partition_by), cut)
    return publish_table(
        df.withColumn(RUN, sf.lit(run)), own, partition_by=[RUN, *partition_by], cut=cut, keep=keep
    )


def check_append(
    root: str,
    columns: Sequence[str],
    schema_json: str | None,
    own: str,
    layout: Sequence[str] = (RUN,),
    cut: str = "",
) -> None:
    """Refuse rows that cannot stand beside those of other runs, before they are written.

    Parameters
    ----------
    columns
        Those of the rows, without that of the run.
    schema_json
        Spark's JSON schema of the rows.
    own
        Where this run's rows go; those that are there will be replaced, and are not compared.
    layout, cut
        What `Table.partition_by` and `Table.cut` of these rows will be.

    Raises
    ------
    DataError
        A column is called as that of the run, or has another type than other runs have written, or a name that differs by its case alone.
    ConfigError
        The place holds a table that is replaced whole, or rows of another layout, or of another window of time.
    """
    check_run_column(columns)
    if VersionedDirectory(root).current() is not None:
        raise ConfigError(
            f"{root!r} holds a table that is replaced whole, and runs are to append to it. Name another folder, or remove that one."
        )
    here = {f["name"]: f["type"] for f in json.loads(schema_json or '{"fields": []}')["fields"]}
    for place in run_roots(root):
        if place.rsplit("/", 1)[-1] == own.rsplit("/", 1)[-1]:
            continue
        try:
            earlier = open_version(place)
        except SourceError:
            continue
        _check_alike(root, earlier, tuple(layout), cut)
        there = {f["name"]: f["type"] for f in json.loads(earlier.schema_json)["fields"]}
        written = {name.casefold(): name for name in there}
        if cased := [name for name in here if written.get(name.casefold(), name) != name]:
            name = cased[0]
            raise DataError(
                f"the column {name!r} is called {written[name.casefold()]!r} in the rows of earlier runs, and Spark does not tell the two apart. Rename it, or append to another folder."
            )
        if other := [name for name in here if name in there and here[name] != there[name]]:
            name = other[0]
            raise DataError(
                f"the column {name!r} is {here[name]} and in the rows of earlier runs {there[name]}, so that the two make no table. Cast it, or append to another folder."
            )


def check_run_column(columns: Sequence[str]) -> None:
    """Refuse a column of rows that is called as that of the run.

    Raises
    ------
    DataError
    """
    if taken := [name for name in columns if name.casefold() == RUN]:
        raise DataError(
            f"the column {taken[0]!r} is to say which run has appended a row; rename yours, or leave it out"
        )


def check_partition_column(columns: Sequence[str], where: str) -> None:
    """Refuse a column of rows that is called as that of the partition's key.

    Raises
    ------
    DataError
    """
    if taken := [name for name in columns if name.casefold() == PARTITION]:
        raise DataError(
            f"{where}: the column {taken[0]!r} is to hold the partition's key; rename yours, or leave it out by score.keep"
        )


def _check_alike(root: str, earlier: Table, layout: tuple[str, ...], cut: str) -> None:
    """Refuse rows that nobody could read together with those of an earlier run."""
    if earlier.partition_by != layout:
        raise ConfigError(
            f"the rows of earlier runs in {root!r} are laid out by {list(earlier.partition_by[1:])}, and these are to be by {list(layout[1:])}, so that the two make no table. Append to another folder."
        )
    if (before := earlier.other_cut(cut)) is not None:
        raise ConfigError(
            f"{root!r} holds rows of earlier runs whose partitions of time were those of {before!r}, and they are those of {cut!r} now. Append to another folder."
        )


def check_replace(root: str) -> None:
    """Refuse to replace a table to which runs have appended: their rows would be hidden.

    Raises
    ------
    ConfigError
    """
    if run_roots(root):
        raise ConfigError(
            f"{root!r} holds the rows of earlier runs, which appended them, and a table is to be replaced whole. Name another folder, or remove that one."
        )
