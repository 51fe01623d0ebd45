"""A model in place of a service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from synml_dagster.services.description.settings import FROZEN


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
