"""A service by its type, as it stands in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.description import Service, described

_LOCAL = "local.embeddings"
_OPENAI = ("openai.chat", "openai.responses", "openai.embeddings")


def service_of(told: Mapping[str, Any]) -> Service:
    """Return the service that a mapping describes: its `type`, and that type's parameters.

    Parameters
    ----------
    told
        `type` is `openai.chat`, `openai.responses`, `openai.embeddings`, `local.embeddings`, one of `azure.names()`, or `http` for a `Service` of your own.

    Raises
    ------
    ConfigError
        There is no such type, it has been turned off, or a parameter cannot be.

    Examples
    --------
    >>> service_of({"type": "http", "name": "upper", "url": "https://example.org/{word}", "method": "GET"}).inputs
    ['word']
    """
    parameters = dict(told)
    kind = parameters.pop("type", None)
    if kind is None:
        raise ConfigError(
            f"service: `type` is missing; it is http for a service of your own, or one of {', '.join(_OPENAI)} and Azure's, such as azure.language.sentiment"
        )
    if kind == "http":
        return described(parameters)
    if kind in _OPENAI:
        from synml_dagster.services import openai

        made: Service = getattr(openai, str(kind).partition(".")[2])(**parameters)
        return made
    if kind == _LOCAL:
        from synml_dagster.services import local

        return local.embeddings(**parameters)
    from synml_dagster.services import azure

    if str(kind).startswith("azure."):
        return azure.service(str(kind), **parameters)
    known = ["http", *_OPENAI, _LOCAL, *azure.names()]
    raise ConfigError(
        f"service: there is no type {kind!r}; there are {', '.join(known)}.{did_you_mean(str(kind), known)}"
    )
