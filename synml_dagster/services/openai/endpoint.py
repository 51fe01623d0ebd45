"""What all endpoints of the protocol share: where they are, the model, the key, and what is granted and paid."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.description import Key, Limits, Policy, Prices
from synml_dagster.services.description.service import plain_problems
from synml_dagster.services.description.settings import FROZEN

Kind = TypeVar("Kind", bound="Endpoint")


class Endpoint(BaseModel):
    """The parameters that every endpoint has."""

    model_config = FROZEN

    model: str = Field(min_length=1, description="The model's name, or that of a deployment.")
    base_url: str = Field(
        default="https://api.openai.com/v1",
        description="Where the protocol is spoken: `https://<name>.openai.azure.com/openai/v1`, `http://host:8000/v1` of vLLM ...",
    )
    key: Key | None = Field(
        default=Key(env="OPENAI_API_KEY"),
        description="The variable that holds the key; nothing for servers that want none. Azure takes {env: NAME, header: api-key, prefix: ''}, too.",
    )
    limits: Limits = Field(default_factory=Limits, description="What the account grants.")
    prices: Prices = Field(default_factory=Prices, description="What a million tokens cost.")
    policy: Policy = Field(default_factory=Policy, description="What is tried again, and for how long.")
    more: dict[str, Any] = Field(
        default_factory=dict,
        description="Further parts of the body, as the service names them, such as temperature or seed.",
    )
    query: dict[str, str] = Field(
        default_factory=dict, description="Parts of the query, such as api-version."
    )
    name: str | None = Field(
        default=None, description="What it is called; the endpoint and the model where absent."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is no address; it begins with https:// or http://")
        if "{" in value:
            raise ValueError(
                "the address is one for all rows; describe a service of your own where rows have theirs"
            )
        return value.rstrip("/")

    @classmethod
    def of(cls: type[Kind], parameters: dict[str, Any]) -> Kind:
        """Return the endpoint with these parameters.

        Raises
        ------
        ConfigError
            One is unknown, or has a value that cannot be.
        """
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in parameters:
            if name not in known and name not in cls.model_fields:
                raise ConfigError(
                    f"{cls.__name__.lower()} has no parameter {name!r}; it takes {', '.join(known)}. What the service knows beside them goes into `more`."
                    f"{did_you_mean(name, known)}"
                )
        try:
            return cls.model_validate(parameters)
        except ValidationError as problem:
            raise ConfigError(f"{cls.__name__.lower()}: {plain_problems(problem)}") from None

    def common(self, what: str) -> dict[str, Any]:
        """Return the parts of a description that all endpoints have."""
        return {
            "name": self.name or f"{what} {self.model}", "key": self.key, "query": self.query,
            "limits": self.limits, "prices": self.prices, "policy": self.policy,
        }  # fmt: skip
