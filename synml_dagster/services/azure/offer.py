"""An Azure service as data: its parameters, and the description that they fill in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.description import Key, Service, described
from synml_dagster.services.description.settings import FROZEN
from synml_dagster.services.description.template import filled

AZURE_POLICY = {"retry": [408, 500, 502, 503, 504]}
"""Azure's own SDKs try these again; a conflict (409) stays one."""


class Parameter(BaseModel):
    """One parameter: required where it has no default; None leaves its part of the request out."""

    model_config = FROZEN

    about: str = Field(description="What it means.")
    default: Any = Field(
        default=..., validate_default=False, description="Its value where nobody says another."
    )


def required(about: str) -> Parameter:
    """Return a parameter that has to be given."""
    return Parameter(about=about, default=...)


def optional(about: str, default: Any = None) -> Parameter:
    """Return a parameter that has a default."""
    return Parameter(about=about, default=default)


class Offer(BaseModel):
    """What Azure offers under one name, on the version that lives.

    `service` is a `Service` with `${parameter}` in its texts.
    """

    model_config = FROZEN

    name: str
    about: str
    version: str
    ends: str | None = None
    """The day on which Azure turns it off, where it has said so."""
    key: str
    """The variable that its key is looked for in."""
    parameters: dict[str, Parameter]
    service: dict[str, Any]

    def bound(self, parameters: dict[str, Any]) -> Service:
        """Return the description with these parameters; `key`, `limits`, `prices` and `policy` are those of any service.

        Raises
        ------
        ConfigError
            One is unknown or missing.
        """
        given = dict(parameters)
        own = {name: given.pop(name) for name in ("key", "limits", "prices", "policy") if name in given}
        known = {"endpoint": required("The resource's address."), **self.parameters}
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"{self.name} has no parameter {name!r}; it takes {', '.join([*known, *own])}.{did_you_mean(name, known)}"
                )
        for name, told in known.items():
            if name not in given and told.default is ...:
                raise ConfigError(f"{self.name} needs {name}: {told.about}")
        values = {name: given.get(name, told.default) for name, told in known.items()}
        endpoint = str(values["endpoint"]).rstrip("/")
        if not endpoint.startswith(("https://", "http://")):
            raise ConfigError(
                f"{self.name}: endpoint {endpoint!r} is no address, such as https://<name>.cognitiveservices.azure.com"
            )
        told = filled(self.service, values | {"endpoint": endpoint})
        own_key = Key(env=self.key, header="Ocp-Apim-Subscription-Key", prefix="")
        told |= {"name": self.name, "policy": AZURE_POLICY, "key": own_key} | own
        made = described(told)
        return made if made.key is None else made.model_copy(update={"key": made.key.over(own_key)})
