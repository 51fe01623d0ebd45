"""Bodies of several parts, and of several rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, model_validator

from synml_dagster.services.description.settings import FROZEN


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
