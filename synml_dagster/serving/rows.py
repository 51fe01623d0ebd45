"""The rows of a request: columns of Python values, whatever they were sent as; and what is wrong with a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synml_dagster.errors import DataError


class RequestError(DataError):
    """A request that is answered by `status`, which is none of 2xx, and the message."""

    def __init__(self, message: str, status: int = 400, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)


@dataclass(frozen=True)
class Rows:
    """Columns of values, all of `count` rows.

    Attributes
    ----------
    columns
        Column to the values of all rows, as Python has them.
    count
        How many rows there are.
    """

    columns: Mapping[str, Sequence[Any]]
    count: int


def from_records(records: Sequence[Any], what: str) -> Rows:
    """Return rows that are given as an object each; a column that some of them lack is missing there."""
    if len(records) == 1 and isinstance(records[0], dict):
        return Rows({name: (value,) for name, value in records[0].items()}, 1)
    names: dict[str, None] = {}
    for i, record in enumerate(records):
        if not isinstance(record, dict):
            raise RequestError(f"{what}: row {i} is no object of column to value.")
        names.update(dict.fromkeys(record))
    return Rows({name: [record.get(name) for record in records] for name in names}, len(records))


def from_columns(columns: Mapping[str, Any], what: str) -> Rows:
    """Return rows that are given as a list for each column."""
    count: int | None = None
    first = ""
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError(f"{what}: column {name!r} is no list of values.")
        if count is None:
            count, first = len(values), name
        elif len(values) != count:
            raise RequestError(
                f"{what}: column {name!r} has {len(values)} values where {first!r} has {count}."
            )
    return Rows(columns, count or 0)


def from_table(names: Sequence[Any], data: Sequence[Any], what: str) -> Rows:
    """Return rows that are given as a list each, with the names of the columns beside them."""
    if not all(isinstance(name, str) for name in names):
        raise RequestError(f"{what}: the names of columns are text.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise RequestError(f"{what}: column {twice!r} is there twice.")
    for i, row in enumerate(data):
        if not isinstance(row, list):
            raise RequestError(f"{what}: row {i} is no list of values.")
        if len(row) != len(names):
            raise RequestError(f"{what}: row {i} has {len(row)} values for {len(names)} columns.")
    columns = zip(*data, strict=True) if data else ((),) * len(names)
    return Rows(dict(zip(names, columns, strict=True)), len(data))
