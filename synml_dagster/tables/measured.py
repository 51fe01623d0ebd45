"""Rows that are published and then looked at, for what the asset's page says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What an IO manager of tables takes, and a function of what it published.

    Attributes
    ----------
    rows
        What an asset may return otherwise, a mapping by partition among it.
    measure
        Takes the tables that were published, `Table` or `CatalogTable`, one a partition, and returns metadata of the output.
    """

    rows: Any
    measure: Callable[[Sequence[Any]], Mapping[str, Any]]
