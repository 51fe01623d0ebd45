"""What Spark hands to a writer of vectors as options, and the checks that all stores share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synml_dagster.errors import ConfigError, did_you_mean

_OF_SPARK = ("checkpointlocation", "queryname", "outputmode")


def own_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return the writer's own options by their names in small letters, without those that Spark adds to a stream's."""
    own = {str(name).lower(): str(value) for name, value in options.items()}
    return {name: value for name, value in own.items() if name not in _OF_SPARK}


def check_options(
    own: Mapping[str, str], known: Sequence[str], required: Sequence[str], store: str = ""
) -> None:
    """Refuse options that there are not, and the lack of one that has to be there.

    Raises
    ------
    ConfigError
        With the option's name; `store` says which store's options these are.
    """
    of_store = f" for {store}" if store else ""
    for name in own:
        if name not in known:
            raise ConfigError(
                f"vectors: there is no option {name!r}{of_store}; there are {', '.join(known)}.{did_you_mean(name, known)}"
            )
    for name in required:
        if not own.get(name, "").strip():
            raise ConfigError(f"vectors: the option {name} is missing")


def key_columns(text: str) -> tuple[str, ...]:
    """Return the columns that the option `key` names.

    Raises
    ------
    ConfigError
        One has no name, or is named twice.

    Examples
    --------
    >>> key_columns("document, part")
    ('document', 'part')
    """
    key = tuple(one.strip() for one in text.split(","))
    if not all(key) or len(set(key)) < len(key):
        raise ConfigError(
            f"vectors: key {text!r} is no list of columns; write their names with commas between"
        )
    return key


def dimensions_of(text: str | None, most: int) -> int | None:
    """Return how many numbers the option `dimensions` says that a vector has, None where it is absent.

    Raises
    ------
    ConfigError
        It is no whole number from 1 to `most`.
    """
    if text is None:
        return None
    if not (text.isdigit() and 0 < int(text) <= most):
        raise ConfigError(f"vectors: dimensions is {text!r}, and a vector has 1 to {most} numbers")
    return int(text)
