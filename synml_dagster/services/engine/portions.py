"""Items that go out together: as many as one request, or one file of requests, holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def in_portions(
    items: Iterable[Item], size_of: Callable[[Item], int], most: int, most_size: int
) -> Iterator[list[Item]]:
    """Yield items in their order, at most `most` and of `most_size` together; one that is larger goes alone.

    Examples
    --------
    >>> list(in_portions(["a", "bb", "cccc", "d"], len, most=2, most_size=3))
    [['a', 'bb'], ['cccc'], ['d']]
    """
    some: list[Item] = []
    size = 0
    for item in items:
        if some and (len(some) >= most or size + size_of(item) > most_size):
            yield some
            some, size = [], 0
        some.append(item)
        size += size_of(item)
    if some:
        yield some
