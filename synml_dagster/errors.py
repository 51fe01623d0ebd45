"""The few kinds of error that this package raises, each written for the person who reads it in the UI at night.

Every message names the column, parameter, file or host at fault and says what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from synml_dagster.redaction import redacted


class SynmlError(Exception):
    """Base of every error that this package raises on purpose. Its message holds no password, key or token."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redacted(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(SynmlError, ValueError):
    """A description or a parameter asks for something that does not exist or cannot be combined."""


class DataError(SynmlError, ValueError):
    """The data cannot be learned from, scored or explained as described."""


class SourceError(SynmlError):
    """A table, file or query could not be found or read."""


class SetupError(SynmlError, RuntimeError):
    """The machine or the cluster lacks something: Java, free task slots, equal versions, a GPU."""


class TrainingError(SynmlError, RuntimeError):
    """A training ended without a whole model."""


class ModelError(SynmlError, ValueError):
    """A model file or bundle is damaged, too new, or does not fit the data it was given."""


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` of the `known` names that look most like `name`, best first."""
    names = list(known)
    by_folded = {n.casefold(): n for n in reversed(names)}
    hits = difflib.get_close_matches(name.casefold(), list(by_folded), n=limit, cutoff=0.5)
    return [by_folded[hit] for hit in hits]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'a' or 'b'?"` with a leading space, or an empty string where nothing is near."""
    hits = nearest(name, known)
    return f" Did you mean {' or '.join(repr(h) for h in hits)}?" if hits else ""
