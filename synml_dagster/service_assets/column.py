"""`ServiceColumn`: one typed description of a column of answers, and the Dagster definitions made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.errors import ConfigError
from synml_dagster.services import Budget, Key, Limits, Prices, Service, service_of
from synml_dagster.services.description import Seconds
from synml_dagster.sources import Source

if TYPE_CHECKING:
    import dagster as dg


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


class ServiceColumn(BaseModel):
    """A table whose rows go to an HTTP service, and come back with a column of answers.

    `name`, `source` and `service` are needed.

    Examples
    --------
    >>> column = ServiceColumn(
    ...     name="reviews",
    ...     source="reviews.csv",
    ...     service={"type": "openai.chat", "model": "gpt-5-mini", "prompt": "Is this review positive? {text}"},
    ...     output="positive",
    ... )
    >>> [key.to_user_string() for asset in column.assets() for key in asset.keys]
    ['reviews/answers']

    Raises
    ------
    pydantic.ValidationError
        A key is unknown, has the wrong type, or does not go with another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(description="Name of the group, and the first part of the key of its assets.")
    source: Source = Field(
        description="The table whose rows are sent: a path, or one of path, table, jdbc and sql."
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
    def _service_is_one(self) -> ServiceColumn:
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

    def assets(self) -> list[dg.AssetsDefinition]:
        """Return the asset of answers, and before it that of batches where rows go by them."""
        from synml_dagster.service_assets.answers import build_answers

        if self.batch is None:
            return [build_answers(self)]
        from synml_dagster.service_assets.batch import build_batch

        return [build_batch(self), build_answers(self)]

    def definitions(
        self,
        *,
        resources: Mapping[str, Any] | None = None,
        change_spec: Callable[[dg.AssetSpec], dg.AssetSpec] | None = None,
    ) -> dg.Definitions:
        """Return assets, checks and a job, with the resources that they need.

        Parameters
        ----------
        resources : mapping, optional
            Resources by key (`spark`, `spark_tables`) in place of the embedded ones.
        change_spec : callable, optional
            Takes each asset's spec and returns it changed: owners, tags, an automation condition.
        """
        import dagster as dg

        from synml_dagster.pipeline import default_resources

        assets = [a.map_asset_specs(change_spec) for a in self.assets()] if change_spec else self.assets()
        origin = dg.AssetSpec(
            key=[self.name, "source"],
            group_name=self.name,
            description=f"What is read: {self.source.describe()}",
            kinds={self.source.kind},
        )
        jobs = [
            dg.define_asset_job(
                f"{self.name}_answers",
                selection=dg.AssetSelection.assets([self.name, "answers"]),
                description="Ask about the rows of today."
                if self.batch is None
                else "Fetch what batches have answered.",
            )
        ]
        sensors = []
        if self.batch is not None:
            from synml_dagster.service_assets.batch import build_sensor

            sensors = [build_sensor(self)]
            selection = dg.AssetSelection.assets([self.name, "batch"])
            jobs.append(dg.define_asset_job(f"{self.name}_batch", selection=selection, description="Submit the rows of today."))  # fmt: skip
        given = dict(resources or {})
        if self.resources == "embedded":
            given = dict(default_resources()) | given
        return dg.Definitions(
            # An asset that is the source has a spec of its own.
            assets=[
                *([] if self.source.asset else [change_spec(origin) if change_spec else origin]),
                *assets,
            ],
            jobs=jobs,
            sensors=sensors,
            resources=given,
        )
