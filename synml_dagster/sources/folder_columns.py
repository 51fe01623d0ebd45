"""Columns that are kept in the names of folders, as `year=2024`: which there are, of what types, and a file's values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from synml_dagster.sources.listing import is_pattern

if TYPE_CHECKING:
    import pyarrow as pa

_NOTHING = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Folders:
    """The columns of the folders below `root`, with their kinds: "whole", "day" or "text"."""

    root: str
    kinds: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, path: str, files: list[str]) -> Folders:
        """Return the columns that are kept in the names of folders between `path` and `files`; none where it is a pattern.

        Whole numbers and days where all values are such; a zero before another digit is a code's, which stays text.
        """
        if is_pattern(path):
            return cls("")
        found: dict[str, set[str]] = {}
        root = path.rstrip("/")
        for file in files:
            for name, value in _parts(root, file).items():
                found.setdefault(name, set()).add(value)
        return cls(root, tuple((name, _kind(values - {_NOTHING})) for name, values in found.items()))

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The columns and their types."""
        import pyarrow as pa

        types = {"whole": pa.int64(), "day": pa.date32(), "text": pa.string()}
        return {name: types[kind] for name, kind in self.kinds}

    def values(self, file: str) -> dict[str, Any]:
        """Return what the folders of a file say of its rows; a column that none of them names is missing."""
        said = _parts(self.root, file)
        return {name: _value(said.get(name, _NOTHING), kind) for name, kind in self.kinds}


def _parts(root: str, file: str) -> dict[str, str]:
    if not root or not file.startswith(root):
        return {}
    parts = file.removeprefix(root).rpartition("/")[0].split("/")
    return {unquote(name): unquote(value) for name, mark, value in (p.partition("=") for p in parts) if mark}


def _kind(values: set[str]) -> str:
    if values and all(_WHOLE.fullmatch(value) for value in values):
        return "whole"
    return "day" if values and all(map(_is_day, values)) else "text"


def _is_day(value: str) -> bool:
    try:
        return len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _value(value: str, kind: str) -> Any:
    if value == _NOTHING:
        return None
    return int(value) if kind == "whole" else date.fromisoformat(value) if kind == "day" else value
