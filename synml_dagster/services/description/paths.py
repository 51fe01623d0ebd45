"""Places in a JSON answer: `choices[0].message.content`, `output[type=message].text`, `pages[*].lines`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from synml_dagster.errors import ConfigError

_STEP = re.compile(r"\.?(?:(?P<name>[^.\[\]]+)|\[(?P<inside>[^\[\]]+)\])")


class Missing:
    """What `find` returns where nothing is at a path."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[tuple[str, Any], ...]:
    """Return the steps of a path: names, positions, `[*]` for each of a list, `[key=value]` for the first that has it.

    Raises
    ------
    ConfigError
        The path cannot be read.

    Examples
    --------
    >>> steps("choices[0].text")
    (('name', 'choices'), ('at', 0), ('name', 'text'))
    """
    found: list[tuple[str, Any]] = []
    place = 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            raise ConfigError(
                f"{path!r} is not a path into an answer; write names with dots between, and [0], [*] or [key=value] for lists"
            )
        place = step.end()
        inside = step["inside"]
        if inside is None:
            found.append(("name", step["name"]))
        elif inside == "*":
            found.append(("each", None))
        elif re.fullmatch(r"-?\d+", inside):
            found.append(("at", int(inside)))
        elif "=" in inside:
            key, _, value = inside.partition("=")
            found.append(("with", (key, value)))
        else:
            found.append(("name", inside))
    return tuple(found)


def find(value: Any, path: str) -> Any:
    """Return what is at `path`, or `MISSING`; the empty path is the value itself.

    Examples
    --------
    >>> find({"a": [{"t": "x", "v": 1}, {"t": "y", "v": 2}]}, "a[t=y].v")
    2
    >>> find({"a": [{"v": 1}, {"v": 2}]}, "a[*].v")
    [1, 2]
    >>> find({}, "a.b")
    nothing
    """
    return _walk(value, steps(path))


def _walk(value: Any, rest: tuple[tuple[str, Any], ...]) -> Any:
    for i, (kind, told) in enumerate(rest):
        if kind == "name":
            if not isinstance(value, dict) or told not in value:
                return MISSING
            value = value[told]
            continue
        if not isinstance(value, list):
            return MISSING
        if kind == "each":
            found = [_walk(one, rest[i + 1 :]) for one in value]
            return [one for one in found if one is not MISSING]
        if kind == "at":
            if not -len(value) <= told < len(value):
                return MISSING
            value = value[told]
        else:
            key, wanted = told
            value = next((v for v in value if isinstance(v, dict) and str(v.get(key)) == wanted), MISSING)
            if value is MISSING:
                return MISSING
    return value


def put(value: dict[str, Any], path: str, new: Any) -> None:
    """Put `new` at `path` of an object, whose objects on the way are made where they are missing.

    Examples
    --------
    >>> body = {}
    >>> put(body, "input.documents", [1])
    >>> body
    {'input': {'documents': [1]}}
    """
    *way, last = [told for kind, told in steps(path) if kind == "name"]
    for name in way:
        value = value.setdefault(name, {})
    value[last] = new
