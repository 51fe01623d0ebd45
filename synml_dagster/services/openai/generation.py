"""What chat and responses share: a prompt of templates, and an answer that may have to fit a schema."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from synml_dagster.errors import ConfigError
from synml_dagster.services.answers.schema import schema_of, strict
from synml_dagster.services.description import Answer, Fails, Repair
from synml_dagster.services.description.template import columns_of, literal
from synml_dagster.services.openai.endpoint import Endpoint

REPAIR = "That does not fit the schema: {problem}. Answer once more, with JSON that fits it and nothing else."
"""What is said where an answer does not fit."""


class Generation(Endpoint):
    """The parameters of what generates text."""

    prompt: str = Field(description="What is asked, as a template: {column} takes the row's value.")
    system: str | None = Field(default=None, description="What is said before it, a template, too.")
    image: str | None = Field(default=None, description="A column of bytes that goes along as a picture.")
    image_type: str = Field(default="image/png", description="The media type of the picture.")
    output_schema: dict[str, Any] | None = Field(
        default=None,
        alias="schema",
        description="A pydantic model or a JSON schema that answers have to fit; the column is then a struct.",
    )
    schema_name: str | None = Field(
        default=None, description="What the schema is called; its title where absent."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="The longest answer, in tokens.")
    repairs: int = Field(
        default=1,
        ge=0,
        le=5,
        description="How often an answer that does not fit the schema is asked for once more.",
    )

    model_config = Endpoint.model_config | {"populate_by_name": True}

    @field_validator("output_schema", mode="before")
    @classmethod
    def _schema_of(cls, value: Any) -> Any:
        try:
            return None if value is None else schema_of(value)
        except ConfigError as problem:  # the parameter is named before it
            raise ValueError(str(problem).removeprefix("schema: ")) from None

    @field_validator("prompt", "system")
    @classmethod
    def _is_a_template(cls, value: str | None) -> str | None:
        try:
            columns_of(value)
        except ConfigError as problem:
            raise ValueError(str(problem)) from None
        return value

    def json_schema(self) -> dict[str, Any] | None:
        """Return the name, the strict schema and that it is strict, as services want to have them."""
        if self.output_schema is None:
            return None
        name = self.schema_name or str(self.output_schema.get("title") or "answer")
        name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
        return {"schema": literal(strict(self.output_schema)), "name": name, "strict": True}

    def answer(self, path: str, fails: tuple[Fails, ...], messages: str) -> Answer:
        """Return where the value is, and what is done where it does not fit."""
        repair = None
        if self.output_schema is not None and self.repairs:
            added = ({"role": "assistant", "content": "{answer}"}, {"role": "user", "content": REPAIR})
            repair = Repair(at=messages, add=added, tries=self.repairs)
        return Answer(path=path, fails=fails, json_schema=self.output_schema, repair=repair)
