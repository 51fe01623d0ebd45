"""A service as one description: what is sent for a row, what comes back, and what is granted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from synml_dagster.errors import ConfigError
from synml_dagster.services.description.answer import Answer, Poll, Usage
from synml_dagster.services.description.bodies import Documents, Part
from synml_dagster.services.description.local_model import LocalModel
from synml_dagster.services.description.paths import steps
from synml_dagster.services.description.policy import Policy
from synml_dagster.services.description.search_index import SearchIndex
from synml_dagster.services.description.settings import FROZEN, Key, Limits, Prices, check_no_secret
from synml_dagster.services.description.template import columns_of

RENDERING = 1
"""Counts up when the same description comes to mean another request; finished answers of before are then asked for anew."""


class Service(BaseModel):
    """One HTTP service, as data: `{column}` in its texts takes a row's value.

    Examples
    --------
    >>> rates = Service(
    ...     name="rates",
    ...     url="https://rates.example.org/v1/{currency}",
    ...     method="GET",
    ...     answer={"path": "rate", "type": "double"},
    ... )
    >>> rates.inputs
    ['currency']

    Raises
    ------
    pydantic.ValidationError
        A key is unknown, a template or a path cannot be read, or a header holds a secret.
    """

    model_config = FROZEN

    name: str = Field(
        min_length=1, max_length=100, description="What it is called in messages and in the journal."
    )
    url: str = Field(description="Template of the address.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="HTTP's method."
    )
    query: dict[str, str] = Field(default_factory=dict, description="Templates of the query's values.")
    headers: dict[str, str] = Field(default_factory=dict, description="Templates of headers.")
    key: Key | None = Field(default=None, description="The secret, by name.")
    body: Any = Field(default=None, description="The body: a JSON value of templates.")
    bytes: str | None = Field(
        default=None, description="The body: template of one column, which holds bytes, or of a text."
    )
    xml: str | None = Field(
        default=None, description="The body: template of an XML text, into which columns go escaped."
    )
    multipart: tuple[Part, ...] | None = Field(default=None, description="The body: parts.")
    content_type: str | None = Field(
        default=None, description="The body's content type, where it is not JSON."
    )
    documents: Documents | None = Field(default=None, description="How several rows share a request.")
    poll: Poll | None = Field(default=None, description="How a long operation is waited for.")
    answer: Answer = Field(default_factory=Answer, description="What of the answer the column holds.")
    usage: Usage | None = Field(default=None, description="Where the answer counts tokens.")
    limits: Limits = Field(default_factory=Limits, description="What the service grants by itself.")
    policy: Policy = Field(default_factory=Policy, description="What is tried again.")
    prices: Prices = Field(default_factory=Prices, description="What tokens cost.")
    schemes: tuple[str, ...] = Field(
        default=("https", "http"), description="Schemes that an address may have."
    )
    local: LocalModel | None = Field(
        default=None, description="A model in Spark's tasks that answers in place of an address."
    )
    writes: bool = Field(
        default=False,
        description="Whether requests change what the service holds: the journal then spans one writing of the rows, and the next sends all of them.",
    )
    index: SearchIndex | None = Field(
        default=None,
        description="The index of Azure AI Search that rows are written to, where it is made of them.",
    )
    private_addresses: bool = Field(
        default=False,
        description="Whether a row may name a host of a private network, where rows name hosts at all.",
    )

    @model_validator(mode="after")
    def _can_be_sent(self) -> Service:
        bodies = [name for name in ("body", "bytes", "xml", "multipart") if getattr(self, name) is not None]
        if len(bodies) > 1:
            raise ValueError(f"{' and '.join(bodies)} are bodies; keep one")
        if self.method == "GET" and bodies:
            raise ValueError(f"a GET has no body, and this one has {bodies[0]}; say method: POST")
        if self.documents and not isinstance(self.body, Mapping):
            raise ValueError("documents go into the body, which has to be an object; it may be an empty one")
        if self.answer.repair and not self.answer.json_schema:
            raise ValueError("answer.repair goes with answer.json_schema")
        if self.answer.type == "binary" and (self.answer.json_schema or self.documents):
            raise ValueError(
                "answer.type binary is the body itself; it goes with neither json_schema nor documents"
            )
        if self.documents and self.poll:
            raise ValueError("documents and poll do not go together")
        check_no_secret(self.headers, "headers")
        check_no_secret(self.query, "query")
        self._check_templates()
        return self

    def _check_templates(self) -> None:
        from synml_dagster.services.answers.schema import check_schema

        try:
            for template in self._templates():
                columns_of(template)
            outside = columns_of([self.url, self.query, self.headers, self.body]) if self.documents else []
            if outside:
                raise ConfigError(
                    f"{outside[0]!r} is named outside of documents.each, where the rows of a request have one value together"
                )
            paths = [self.answer.path, self.answer.error, self.answer.code]
            paths += [fails.path for fails in self.answer.fails]
            paths += [self.documents.answers, self.documents.at] if self.documents else []
            paths += (
                [p for p in (self.usage.input, self.usage.output, self.usage.cached) if p]
                if self.usage
                else []
            )
            for path in paths:
                steps(path)
            if self.answer.json_schema is not None:
                check_schema(self.answer.json_schema)
        except ConfigError as problem:
            raise ValueError(str(problem)) from None

    def _templates(self) -> list[Any]:
        parts = [
            value
            for part in self.multipart or ()
            for value in (part.bytes, part.text, part.json_, part.filename)
        ]
        documents = self.documents.each if self.documents else None
        return [self.url, self.query, self.headers, self.body, self.bytes, self.xml, parts, documents]

    @property
    def inputs(self) -> list[str]:
        """The columns that its templates name."""
        return columns_of(self._templates())

    def fingerprint(self) -> str:
        """Return a text that is another one when the same input could get another answer.

        Limits, prices, the policy and the key's name do not count; of a model's files what is in them does.
        """
        told = self.model_dump(
            mode="json",
            by_alias=True,
            exclude={
                "name",
                "key",
                "limits",
                "policy",
                "prices",
                "usage",
                "private_addresses",
                "schemes",
                "writes",
                "index",
            },
        )
        if self.documents:
            for name in ("most", "most_tokens", "most_bytes", "status"):
                told["documents"].pop(name)
            for name in (
                "key",
                "answer_key",
                "nulls",
            ):  # where they say nothing, the request is that of before
                if not told["documents"][name]:
                    told["documents"].pop(name)
        if self.local is None:
            told.pop("local")
        else:
            from synml_dagster.services.local.files import digest

            for name in ("folder", "model", "tokenizer", "tokens_a_batch", "threads"):
                told["local"].pop(name)
            told["local"]["files"] = digest(self.local)
        text = json.dumps([RENDERING, told], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(told: Mapping[str, Any]) -> Service:
    """Return the service that `told` describes.

    Raises
    ------
    ConfigError
        It describes none.
    """
    try:
        return Service.model_validate(told)
    except ValidationError as problem:
        raise ConfigError(f"service {told.get('name', '')!r}: {plain_problems(problem)}") from None


def plain_problems(problem: ValidationError) -> str:
    """Return what pydantic found, a line for all of it, without the values."""
    found = []
    for error in problem.errors(include_url=False, include_input=False):
        place = ".".join(str(step) for step in error["loc"])
        said = str(error["msg"]).removeprefix("Value error, ")
        found.append(f"{place}: {said}" if place else said)
    return "; ".join(found)
