"""Templates over columns: `{column}` in the texts of an address, a header or a body."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from typing import Any
from urllib.parse import quote

from synml_dagster.errors import ConfigError, did_you_mean

Row = Mapping[str, Any]
_PARAMETER = re.compile(r"\$\{(\w+)\}")
_HOST_PART = re.compile(r"[A-Za-z0-9-]{1,63}")


class InputError(ValueError):
    """A row's values cannot be sent: nothing where a value is needed, or one that an address cannot hold."""


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[tuple[str, str | None], ...]:
    """Return a template's literal texts, each with the column that follows it.

    Raises
    ------
    ConfigError
        A brace stands alone, or holds nothing or more than a column's name.

    Examples
    --------
    >>> parts("Is {text} good?")
    (('Is ', 'text'), (' good?', None))
    """
    try:
        found = list(Formatter().parse(text))
    except ValueError as problem:
        raise ConfigError(
            f"the template {_short(text)} has a brace of its own ({problem}); write {{{{ and }}}} for braces that are text"
        ) from problem
    for _, name, spec, conversion in found:
        if name == "":
            raise ConfigError(
                f"the template {_short(text)} has empty braces; name a column in them, or write {{{{}}}}"
            )
        if spec or conversion:
            raise ConfigError(
                f"the template {_short(text)} asks for a format of {name!r}; a column's name alone can stand in braces, and {{{{ and }}}} are braces"
            )
    return tuple((literal, name) for literal, name, _, _ in found)


def columns_of(template: Any) -> list[str]:
    """Return the columns that the texts of a JSON value name, in the order in which they come first."""
    if isinstance(template, str):
        return list(dict.fromkeys(name for _, name in parts(template) if name is not None))
    below = (
        template.values()
        if isinstance(template, Mapping)
        else template
        if isinstance(template, list | tuple)
        else ()
    )
    return list(dict.fromkeys(name for one in below for name in columns_of(one)))


def compiled(template: Any, *, nulls: bool = False) -> Callable[[Row], Any]:
    """Return the function from a row to the JSON value that `template` is for it.

    A text that is one column and nothing else takes the column's value as it is: a number stays one, a list one, and with
    `nulls` nothing stays nothing.
    """
    if isinstance(template, str):
        found = parts(template)
        if len(found) == 1 and found[0][0] == "" and found[0][1] is not None:
            name = found[0][1]
            return lambda row: plain(row[name] if nulls else _given(row, name))
        if not any(name for _, name in found):
            text = "".join(literal for literal, _ in found)
            return lambda row: text
        return lambda row: "".join(
            literal if name is None else literal + as_text(_given(row, name)) for literal, name in found
        )
    if isinstance(template, Mapping):
        members = [(key, compiled(value, nulls=nulls)) for key, value in template.items()]
        return lambda row: {key: make(row) for key, make in members}
    if isinstance(template, list | tuple):
        items = [compiled(value, nulls=nulls) for value in template]
        return lambda row: [make(row) for make in items]
    return lambda row: template


def compiled_address(template: str) -> Callable[[Row], str]:
    """Return the function from a row to an address: values are escaped, and none can leave its place in the path.

    An address that is one column and nothing else is the row's own; `host_from_data` tells.
    """
    found = parts(template)
    if len(found) == 1 and found[0][0] == "" and found[0][1] is not None:
        whole = found[0][1]
        return lambda row: as_text(_given(row, whole)).strip()
    before_path = template.split("://", 1)[-1].find("/")
    end = len(template) if before_path < 0 else template.find("://") + 3 + before_path

    def make(row: Row) -> str:
        text, place = "", 0
        for literal, name in found:
            text += literal
            place += len(literal)
            if name is None:
                continue
            value = as_text(_given(row, name))
            if place < end:
                if not _HOST_PART.fullmatch(value):
                    raise InputError(f"column {name!r} holds what is no part of a host's name")
            elif value in ("", ".", ".."):
                raise InputError(f"column {name!r} holds {value!r}, which an address cannot")
            text += quote(value, safe="")
            place += len(name) + 2
        return text

    return make


def literal(value: Any) -> Any:
    """Return a JSON value as a template that is just it: braces in its texts are texts.

    Examples
    --------
    >>> literal({"pattern": "[a-z]{3}"})
    {'pattern': '[a-z]{{3}}'}
    """
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, Mapping):
        return {key: literal(one) for key, one in value.items()}
    return [literal(one) for one in value] if isinstance(value, list | tuple) else value


def host_from_data(template: str) -> bool:
    """Return whether a row says which host is asked."""
    scheme, separator, rest = template.partition("://")
    if not separator:
        return bool(columns_of(template))
    return bool(columns_of(scheme) or columns_of(rest.partition("/")[0]))


def filled(template: Any, parameters: Mapping[str, Any]) -> Any:
    """Return `template` with each `${parameter}` filled in; one that is all of a text keeps its type, and a None goes.

    Raises
    ------
    ConfigError
        A parameter has no value.
    """
    if isinstance(template, str):
        if whole := _PARAMETER.fullmatch(template):
            return _parameter(whole[1], parameters)
        return _PARAMETER.sub(lambda found: str(_parameter(found[1], parameters)), template)
    if isinstance(template, Mapping):
        made = {key: filled(value, parameters) for key, value in template.items()}
        return {key: value for key, value in made.items() if value is not None}
    if isinstance(template, list | tuple):
        return [filled(value, parameters) for value in template]
    return template


def parameters_of(template: Any) -> list[str]:
    """Return the names of the parameters that are still to be filled in."""
    if isinstance(template, str):
        return list(dict.fromkeys(_PARAMETER.findall(template)))
    below = (
        template.values() if isinstance(template, Mapping) else template if isinstance(template, list) else ()
    )
    return list(dict.fromkeys(name for one in below for name in parameters_of(one)))


def as_text(value: Any) -> str:
    """Return a column's value as it stands within a text; bytes as base64."""
    value = plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: times in ISO 8601, decimal numbers as text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _given(row: Row, name: str) -> Any:
    value = row[name]
    if value is None:
        raise InputError(f"column {name!r} holds nothing")
    return value


def _parameter(name: str, parameters: Mapping[str, Any]) -> Any:
    if name not in parameters:
        raise ConfigError(f"the parameter {name!r} has no value.{did_you_mean(name, parameters)}")
    return parameters[name]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
