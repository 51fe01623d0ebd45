"""What comes back: how it is waited for, where the value is, what is none, and what it took."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from synml_dagster.services.description.settings import FROZEN, Seconds


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
