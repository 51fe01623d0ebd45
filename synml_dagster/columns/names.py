"""Columns and names, whatever characters they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column


def col(*path: str) -> Column:
    """Return the column at `path`, whatever characters its names hold."""
    from pyspark.sql import functions as sf

    return sf.col(quoted(*path))


class UniqueNames:
    """Hands out names that differ in more than case, because Spark does not tell `A` from `a`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.casefold() for name in taken}

    def __call__(self, wanted: str) -> str:
        """Return `wanted`, or `wanted` with the first free number behind it."""
        name, n = wanted, 1
        while name.casefold() in self._taken:
            n += 1
            name = f"{wanted}_{n}"
        self._taken.add(name.casefold())
        return name
