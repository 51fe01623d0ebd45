"""How a name of any characters is written for Spark."""

from __future__ import annotations


def quoted(*path: str) -> str:
    """Return a path of names as Spark's parser reads it.

    Examples
    --------
    >>> quoted("a.b")
    '`a.b`'
    >>> quoted("address", "zip`code")
    '`address`.`zip``code`'
    """
    return ".".join(f"`{name.replace('`', '``')}`" for name in path)
