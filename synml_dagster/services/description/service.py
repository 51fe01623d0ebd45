"""A service as one description: what is sent for a row, what comes back, and what is granted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from synml_dagster.errors import ConfigError
from synml_dagster.services.description.paths import steps
from synml_dagster.services.description.policy import Policy
from synml_dagster.services.description.settings import FROZEN, Key, Limits, Prices, Seconds, check_no_secret
from synml_dagster.services.description.template import columns_of

RENDERING = 1
"""Counts up when the same description comes to mean another request; finished answers of before are then asked for anew."""


class Part(BaseModel):
    """One part of a multipart body: exactly one of `bytes`, `text` and `json`."""

    model_config = FROZEN

    name: str = Field(description="The part's name.")
    bytes: str | None = Field(default=None, description="Template of one column, which holds bytes.")
    text: str | None = Field(default=None, description="Template of a text.")
    json_: Any = Field(default=None, alias="json", description="A JSON value of templates.")
    filename: str | None = Field(default=None, description="Template of the file name that is told.")
    content_type: str | None = Field(default=None, description="The part's content type.")

    @model_validator(mode="after")
    def _one_content(self) -> Part:
        if sum(one is not None for one in (self.bytes, self.text, self.json_)) != 1:
            raise ValueError(f"part {self.name!r} needs exactly one of bytes, text and json")
        return self


class Documents(BaseModel):
    """Several rows in one request: an array of documents, each of which has its own answer.

    A request that the service refuses as a whole (400, 413, 422) is halved until the row at fault stands alone.
    """

    model_config = FROZEN

    at: str = Field(description="Where in the body the array goes.")
    each: Any = Field(description="One document: a JSON value of templates.")
    id: str | None = Field(
        default=None,
        description="Name under which a document and its answer have a number; answers are taken by position where absent.",
    )
    index: str | None = Field(
        default=None,
        description="Name under which an answer has its document's position, where documents have no number.",
    )
    answers: str = Field(description="Where in the answer the array of answers is.")
    most: int = Field(ge=1, description="Documents of one request.")
    most_tokens: int | None = Field(default=None, ge=1, description="Tokens of one request, as estimated.")
    most_bytes: int = Field(default=900_000, ge=1, description="Bytes of the documents of one request.")
    errors: str | None = Field(
        default=None, description="Where in the answer documents are listed that have an error, by `id`."
    )
    key: str | None = Field(
        default=None,
        description="Name under which each document holds a key of its own, by which answers name it; two rows of one key are refused.",
    )
    answer_key: str | None = Field(
        default=None, description="Name under which an answer has that key; the document's own where absent."
    )
    status: str | None = Field(
        default=None,
        description="Name under which an answer has an HTTP status of its own: what the policy tries again is sent again without the others.",
    )
    nulls: bool = Field(
        default=False, description="Whether a column without a value is sent as null, in place of an error."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Documents:
        if sum(name is not None for name in (self.id, self.index, self.key)) > 1:
            raise ValueError("documents are told apart by one of id, index and key")
        if self.key is not None and self.key_column is None:
            raise ValueError(f"documents.each needs {self.key!r}, one column in braces and nothing else")
        return self

    @property
    def key_column(self) -> str | None:
        """The column that `key` is, where documents have one."""
        each = self.each.get(self.key) if isinstance(self.each, Mapping) else None
        return each[1:-1] if isinstance(each, str) and each == "{" + each[1:-1] + "}" else None


class Poll(BaseModel):
    """Submit and poll: the first answer names an operation, which is asked until it has ended."""

    model_config = FROZEN

    header: str | None = Field(
        default=None, description="Header of the first answer that holds the operation's address."
    )
    path: str | None = Field(
        default=None, description="Where in the first answer's body the operation's address is."
    )
    status: str = Field(default="status", description="Where in the operation's answer its state is.")
    done: tuple[str, ...] = Field(
        default=("succeeded", "completed"), description="States that mean success, in any case."
    )
    failed: tuple[str, ...] = Field(
        default=(
            "failed",
            "canceled",
            "cancelled",
            "cancelling",
            "validationfailed",
            "validation_failed",
            "rejected",
            "expired",
            "partiallycompleted",
        ),
        description="States that mean failure, in any case; all others are waited for.",
    )
    interval: Seconds = Field(
        default=1.0, gt=0, description="The first wait; each is half as long again, up to 15 s."
    )
    result: str | None = Field(
        default=None,
        description="Where in the last answer the address of the result is, which is then fetched.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Poll:
        if (self.header is None) == (self.path is None):
            raise ValueError("poll needs one of header and path, which say where the operation's address is")
        return self


class Fails(BaseModel):
    """An answer with a good status that is none: a refusal, a length cut, a failed document."""

    model_config = FROZEN

    path: str = Field(description="Where to look.")
    equals: tuple[str, ...] | None = Field(
        default=None, description="What is a failure there; anything but nothing where absent."
    )
    reason: str = Field(description="The error's reason.")
    message: str | None = Field(default=None, description="Where the error's message is.")


class Repair(BaseModel):
    """One more request where an answer does not fit its schema: what is added to the body's list of messages.

    `{answer}` is the text that did not fit, `{problem}` says why.
    """

    model_config = FROZEN

    at: str = Field(description="Where in the body the list is.")
    add: tuple[dict[str, Any], ...] = Field(description="What is added to it.")
    tries: int = Field(default=1, ge=0, le=5, description="How often.")


class Answer(BaseModel):
    """Where in an answer the value is, and what type it has."""

    model_config = FROZEN

    path: str = Field(default="", description="Where the value is; all of it where empty.")
    type: str = Field(
        default="string",
        description="Spark's type of the value, such as array<float>; an object or list as string is its JSON text, and binary the body itself.",
    )
    json_schema: dict[str, Any] | None = Field(
        default=None,
        description="Schema of the JSON that the value, a text, has to hold; the type is then that of the schema.",
    )
    fails: tuple[Fails, ...] = Field(default=(), description="Good answers that are errors.")
    repair: Repair | None = Field(
        default=None, description="What to do where the value does not fit the schema."
    )
    error: str = Field(default="error.message", description="Where an error's message is.")
    code: str = Field(default="error.code", description="Where an error's code is.")
    absent: Literal["error", "null_text"] = Field(
        default="error", description="What nothing at the path means: an error, or the text `null`."
    )


class Usage(BaseModel):
    """Where in an answer the tokens are that it has used."""

    model_config = FROZEN

    input: str = Field(description="Tokens of the prompt, the cached ones among them.")
    output: str | None = Field(default=None, description="Tokens of the answer.")
    cached: str | None = Field(default=None, description="Tokens of the prompt that were cached.")
    longest: tuple[str, ...] = Field(
        default=(),
        description="Where in the request the longest answer is said, in tokens, which limits count before it is there.",
    )


class LocalModel(BaseModel):
    """A model that runs in Spark's tasks, in place of a service: a text becomes the embedding that an ONNX graph gives it.

    Its files lie in one folder, which workers reach by the same path.
    """

    model_config = FROZEN

    folder: str = Field(description="The folder.")
    model: str = Field(default="model.onnx", description="The graph's file in it.")
    tokenizer: str = Field(default="tokenizer.json", description="The tokenizer's file in it.")
    pooling: Literal["mean", "cls", "last"] = Field(
        default="mean",
        description="How a text's tokens become one embedding, where the graph gives one for each token: their mean, the first, the last.",
    )
    normalize: bool = Field(default=True, description="Whether an embedding is made as long as 1.")
    output: str | None = Field(
        default=None, description="The graph's output; the only one, or the one that is known, where absent."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=2,
        description="The longest text, in tokens; what the tokenizer or config.json says where absent.",
    )
    truncate: bool = Field(
        default=False, description="Whether a longer text is cut off; it has an error otherwise."
    )
    tokens_a_batch: int = Field(
        default=16_384, ge=1, description="Tokens that go through the graph at once, padding among them."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads of one task; the host's cores, divided by the senders, where absent.",
    )


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
        found.append(f"{place}: {error['msg']}" if place else str(error["msg"]))
    return "; ".join(found)
