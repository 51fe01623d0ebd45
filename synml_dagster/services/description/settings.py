"""The small parts of a description: the key, limits, prices, a budget, and lengths of time."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from synml_dagster.redaction import is_secret_key

FROZEN = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?\s*", value)
    if not found:
        raise ValueError(
            f"{value!r} is no length of time; write seconds, or a number with ms, s, m, h or d, such as 90s or 2h"
        )
    return float(found[1]) * _UNITS[found[2] or "s"]


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, or a text such as `90s`, `15m` or `2h`."""


class Key(BaseModel):
    """A secret by the name of its environment variable, and the header that it is sent in.

    The variable is looked up where the requests are sent. The value is in no plan, log, message or metadata.

    Examples
    --------
    >>> Key.model_validate("OPENAI_API_KEY")
    Key(env='OPENAI_API_KEY', header='Authorization', prefix='Bearer ')
    >>> Key(env="VISION_KEY", header="Ocp-Apim-Subscription-Key", prefix="").env
    'VISION_KEY'
    """

    model_config = FROZEN

    env: str = Field(description="Name of the environment variable that holds the key.")
    header: str = Field(default="Authorization", description="The header that the key is sent in.")
    prefix: str = Field(
        default="Bearer ",
        description="What stands before the key in its header; empty for most keys of Azure.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"env": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Say that the variable's name alone will do."""
        return {"anyOf": [{"type": "string", "description": "A variable's name."}, handler(core_schema)]}

    def over(self, own: Key | None) -> Key:
        """Return this key where a service has its `own`: a variable's name alone changes the variable, and not the header.

        Examples
        --------
        >>> Key(env="MINE").over(Key(env="AZURE_KEY", header="api-key", prefix=""))
        Key(env='MINE', header='api-key', prefix='')
        """
        alone = self.model_fields_set <= {"env"}
        return self if own is None or not alone else own.model_copy(update={"env": self.env})

    @field_validator("env")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_]\w{0,99}", value):
            # The value is not repeated: whoever writes a key where its name belongs should not find it in a log.
            raise ValueError(
                "this is the NAME of an environment variable, such as OPENAI_API_KEY, and never the key itself"
            )
        return value


class Limits(BaseModel):
    """What the service grants this key, for all senders together.

    Examples
    --------
    >>> Limits(requests_per_minute=600, in_flight=5).share(0, 2).in_flight
    3
    >>> Limits(requests_per_minute=600, in_flight=5).share(1, 2).requests_per_minute
    300.0
    """

    model_config = FROZEN

    requests_per_minute: float | None = Field(
        default=None, gt=0, description="Requests a minute; no limit of its own where absent."
    )
    tokens_per_minute: float | None = Field(
        default=None,
        gt=0,
        description="Tokens a minute, of prompts and of the longest answers that are asked for.",
    )
    in_flight: int = Field(
        default=32, ge=1, le=2000, description="Requests that wait for their answer at once."
    )

    def share(self, sender: int, senders: int) -> Limits:
        """Return what one of `senders` may use: the shares add up to the whole."""
        return Limits(
            requests_per_minute=self.requests_per_minute and self.requests_per_minute / senders,
            tokens_per_minute=self.tokens_per_minute and self.tokens_per_minute / senders,
            in_flight=self.in_flight // senders + (sender < self.in_flight % senders),
        )


class Prices(BaseModel):
    """Money for a million tokens, and for a thousand requests where a service is paid so; in a currency of your own."""

    model_config = FROZEN

    input: float = Field(default=0, ge=0, description="A million tokens of prompts.")
    output: float = Field(default=0, ge=0, description="A million tokens of answers.")
    cached: float | None = Field(
        default=None,
        ge=0,
        description="A million tokens of prompts that the service had cached; as input where absent.",
    )
    thousand_requests: float = Field(default=0, ge=0, description="A thousand answered requests.")

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, requests: int = 0) -> float:
        """Return what so many tokens and answered requests cost.

        Examples
        --------
        >>> Prices(input=2, output=8, cached=0.5).cost(1_000_000, 500_000, cached_tokens=400_000)
        5.4
        """
        fresh = self.input * (input_tokens - cached_tokens)
        known = (self.input if self.cached is None else self.cached) * cached_tokens
        return (fresh + known + self.output * output_tokens) / 1e6 + self.thousand_requests * requests / 1e3


class Budget(BaseModel):
    """The most that one run may spend; what it has not paid for by then is left for the next run."""

    model_config = FROZEN

    tokens: int | None = Field(default=None, gt=0, description="Tokens, of prompts and answers together.")
    money: float | None = Field(default=None, gt=0, description="Money, in the currency of the prices.")
    requests: int | None = Field(default=None, gt=0, description="Requests, retries among them.")

    def share(self, sender: int, senders: int) -> Budget:
        """Return what one of `senders` may spend: the shares add up to the whole, and the first have what is left over.

        Examples
        --------
        >>> [Budget(requests=3).share(i, 2).requests for i in range(2)]
        [2, 1]
        """

        def part(whole: int | None) -> int | None:
            return None if whole is None else whole // senders + (sender < whole % senders)

        money = None if self.money is None else self.money / senders
        # A share may be nothing, which a budget of a run may not.
        return Budget.model_construct(tokens=part(self.tokens), money=money, requests=part(self.requests))


def check_no_secret(headers: dict[str, str], where: str) -> None:
    """Refuse a header or a part of a query that holds a key.

    Raises
    ------
    ValueError
        A name says that its value is a secret.
    """
    for name in headers:
        if is_secret_key(name) or name.lower() in (
            "authorization",
            "api-key",
            "ocp-apim-subscription-key",
            "cookie",
        ):
            raise ValueError(
                f"{where}.{name} would put a secret into the description; name its environment variable instead: "
                f"key: {{env: NAME, header: {name}, prefix: ''}}"
            )
