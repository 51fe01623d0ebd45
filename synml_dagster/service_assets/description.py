"""The one typed description of a column of answers, and what in it goes together."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.errors import ConfigError
from synml_dagster.services import Budget, Key, Limits, Prices, Service, service_of
from synml_dagster.services.description import Seconds
from synml_dagster.sources import Source


class ErrorsSpec(BaseModel):
    """How many errors are borne."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_most: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The part of the distinct inputs that may end with an error, such as 1% or 0.01; above it the check fails.",
    )

    @field_validator("at_most", mode="before")
    @classmethod
    def _percent(cls, value: Any) -> Any:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
        return float(found[1]) / 100 if found else value


class BatchSpec(BaseModel):
    """Rows go to OpenAI's Batch API: answers within a day, at a part of the price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: str = Field(default="24h", description="How long the service may take.")
    requests: int = Field(default=50_000, ge=1, le=50_000, description="Requests of one batch.")
    discount: float = Field(default=0.5, gt=0, le=1, description="The part of the prices that batches cost.")
    poll: Seconds = Field(default=300, ge=30, description="How often the sensor asks how far they are.")


class Description(BaseModel):
    """What a column of answers is told: its keys, and which of them go together."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(description="Name of the group, and the first part of the key of its assets.")
    source: Source = Field(
        description="The table whose rows are sent: a path, or one of path, table, jdbc and sql, or an asset."
    )
    service: dict[str, Any] = Field(
        description="The service: its type (openai.chat, openai.responses, openai.embeddings, local.embeddings, one of Azure's such as azure.language.sentiment, or http for a description of your own) and that type's parameters."
    )
    input: str | dict[str, str] | None = Field(
        default=None,
        description="Columns for the service's inputs: the column where there is one, else input: column; by default they have the inputs' names.",
    )
    output: str = Field(default="answer", min_length=1, description="Name of the column of answers.")
    key: Key | None = Field(
        default=None,
        description="Name of the environment variable that holds the key, in place of the service's own.",
    )
    limits: Limits | None = Field(default=None, description="What the service grants this key.")
    prices: Prices | None = Field(default=None, description="What tokens and requests cost.")
    senders: int = Field(
        default=1, ge=1, le=64, description="Spark tasks that send side by side and share the limits."
    )
    deadline: Seconds | None = Field(
        default=None,
        gt=0,
        description="How long a run sends, such as 2h; what is left then is sent by the next run.",
    )
    budget: Budget | None = Field(
        default=None,
        description="The most that a run may spend; the next one goes on from there. Of batches what is expected at the most counts before they are sent.",
    )
    batch: BatchSpec | None = Field(
        default=None,
        description="Whether rows go to OpenAI's Batch API: the asset <name>/batch submits them, and a sensor has the answers fetched. {} takes the defaults.",
    )
    errors: ErrorsSpec = Field(default_factory=ErrorsSpec, description="How many errors are borne.")
    usage: bool = Field(
        default=False, description="Whether a column <output>_usage holds tokens and cost of each row."
    )
    keep: list[str] | None = Field(
        default=None, description="Columns to carry along; all of them where absent."
    )
    path: str | None = Field(
        default=None,
        description="Folder of the table, replaced whole each time; under the data directory where absent.",
    )
    journal: str | None = Field(
        default=None,
        description="Folder of finished answers, which are never asked for again; under the data directory where absent.",
    )
    resources: Literal["embedded", "project"] = Field(
        default="embedded",
        description="embedded brings the resources along; project leaves spark and spark_tables to the code location.",
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_word(cls, value: str) -> str:
        if not value.isidentifier() or not value.isascii():
            raise ValueError(
                f"{value!r} cannot name assets; use letters, digits and underscores, and begin with a letter"
            )
        return value

    @model_validator(mode="after")
    def _service_is_one(self) -> Description:
        # `{{ env.X }}` is filled in later, and the service is looked at once it is.
        if "{{" not in json.dumps(self.service, default=str):
            try:
                self._check(self.described())
            except ConfigError as problem:
                raise ValueError(str(problem)) from None
        return self

    def _check(self, service: Service) -> None:
        """Refuse what batches cannot keep."""
        if self.batch is None:
            return
        from synml_dagster.services.batches.allowance import Allowance
        from synml_dagster.services.batches.client import Address

        Address.of(service)
        if self.budget is not None:
            Allowance(self.budget, service, self.batch.discount)
        for name in ("deadline", "limits", "senders"):
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise ConfigError(
                    f"{name} does not go with batch, whose requests the service sends by itself; leave one out"
                )

    def described(self) -> Service:
        """Return the service that is asked, with this description's limits and prices.

        Raises
        ------
        ConfigError
            There is no such service, or a parameter cannot be.
        """
        service = service_of(self.service)
        changes = {name: given for name in ("limits", "prices") if (given := getattr(self, name)) is not None}
        return service.model_copy(update=changes) if changes else service
