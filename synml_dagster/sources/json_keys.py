"""Keys of JSON records that differ in case alone: Spark has one column for them and reads the values of one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from synml_dagster.errors import SourceError


def check_keys(heads: Iterable[tuple[str, bytes]]) -> None:
    """Refuse files whose first records have a key in two ways of upper and lower case, at any depth.

    Parameters
    ----------
    heads
        Names of files and their first bytes; a record that is torn where they end is passed over.

    Raises
    ------
    SourceError
        There are such keys.
    """
    spelled: dict[str, str] = {}
    for file, head in heads:
        whole = records(head.decode("utf-8-sig", "replace"))
        for path in dict.fromkeys(path for record in whole for path in _keys(record)):
            other = spelled.setdefault(path.casefold(), path)
            if other != path:
                raise SourceError(
                    f"source: records hold both keys {other!r} and {path!r}, the latter in {file.rsplit('/', 1)[-1]!r}. Spark takes them for one column and reads the values of one of them alone. Write them in one way."
                )


def records(text: str) -> Iterator[Any]:
    """Yield the whole records that a text begins with: of an array, or one after the other.

    Examples
    --------
    >>> list(records('[{"a": 1}, {"a": 2}, {"a"'))
    [{'a': 1}, {'a': 2}]
    >>> list(records('{"a": 1}\\nno JSON\\n{"a": 2}\\n'))
    [{'a': 1}, {'a': 2}]
    """
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in "[, \t\r\n":
            at += 1
            continue
        try:
            record, at = decoder.raw_decode(text, at)
        except ValueError:
            line = text.find("\n", at)
            if line < 0:
                return
            at = line + 1
            continue
        yield record


def _keys(value: Any, before: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{before}.{key}" if before else str(key)
            yield path
            yield from _keys(inner, path)
    elif isinstance(value, list):
        for inner in value[:10]:
            yield from _keys(inner, before)
