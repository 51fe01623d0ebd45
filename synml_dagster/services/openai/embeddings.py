"""Embeddings: many texts a request."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from synml_dagster.services.description import Answer, Documents, Service, Usage
from synml_dagster.services.openai.endpoint import Endpoint


class Embeddings(Endpoint):
    """An embedding, array<float>, for each text.

    A request that is refused is halved until the text at fault stands alone: it has an error, and all others their value.
    """

    text: str = Field(default="text", description="The column of texts, or a template over columns.")
    dimensions: int | None = Field(
        default=None, ge=1, description="Numbers of an embedding, where the model lets one choose."
    )
    texts_a_request: int = Field(default=2048, ge=1, le=2048, description="The protocol's most is 2,048.")
    tokens_a_request: int = Field(
        default=300_000, ge=1, description="The protocol's most is 300,000, of all texts together."
    )

    def service(self) -> Service:
        """Return the description."""
        text = self.text if "{" in self.text else f"{{{self.text}}}"
        body: dict[str, Any] = {"model": self.model, "encoding_format": "float"}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        documents = Documents(
            at="input",
            each=text,
            answers="data",
            index="index",
            most=self.texts_a_request,
            most_tokens=self.tokens_a_request,
            most_bytes=8 * 2**20,
        )
        return Service(
            url=f"{self.base_url}/embeddings",
            body=body | self.more,
            documents=documents,
            answer=Answer(path="embedding", type="array<float>"),
            usage=Usage(input="usage.prompt_tokens"),
            **self.common("embeddings"),
        )
