"""The `card` part of a description: what people have to say of a model, which no table tells."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

_LONG = 4_000


class CardSpec(BaseModel):
    """What the model is for and what not, and who answers for it. Plain text: shown as it is written, with its line breaks."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    intended_use: str | None = Field(
        default=None, max_length=_LONG, description="What the model is for, and by whom it is used."
    )
    not_for: list[str] = Field(
        default_factory=list,
        max_length=30,
        description="What it must not be used for, an entry each; a text alone is one entry.",
    )
    limitations: str | None = Field(
        default=None, max_length=_LONG, description="What is known to be weak: in the data, in the answers."
    )
    owner: str | None = Field(default=None, max_length=200, description="Who answers for the model.")
    contact: str | None = Field(default=None, max_length=200, description="Whom to ask.")
    license: str | None = Field(
        default=None, max_length=200, description="Under which terms the model is used."
    )
    machine_price: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="What an hour of the machines that run the pipeline costs; the card says what its last run did.",
    )
    currency: str = Field(default="", max_length=10, description="What `machine_price` is in, such as EUR.")

    @field_validator("not_for", mode="before")
    @classmethod
    def _text_is_one_entry(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("not_for")
    @classmethod
    def _entries_are_sentences(cls, value: list[str]) -> list[str]:
        if any(not entry.strip() for entry in value):
            raise ValueError("an entry is empty; say what the model must not be used for")
        if any(len(entry) > 1_000 for entry in value):
            raise ValueError("an entry has more than 1,000 characters; make several of it")
        return value
