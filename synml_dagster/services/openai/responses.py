"""The responses endpoint."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from synml_dagster.services.description import Fails, Service, Usage
from synml_dagster.services.openai.generation import Generation

_MESSAGE = "output[type=message].content"


class Responses(Generation):
    """A response for each row. Nothing of it is kept by the service, unless `store` asks for it."""

    store: bool = Field(default=False, description="Whether the service keeps requests and answers.")

    def service(self) -> Service:
        """Return the description."""
        asked: Any = self.prompt
        if self.image:
            picture = f"data:{self.image_type};base64,{{{self.image}}}"
            content = [
                {"type": "input_text", "text": self.prompt},
                {"type": "input_image", "image_url": picture},
            ]
            asked = [{"role": "user", "content": content}]
        body: dict[str, Any] = {"input": asked, "model": self.model, "store": self.store}
        if self.system:
            body["instructions"] = self.system
        if self.max_tokens is not None:
            body["max_output_tokens"] = self.max_tokens
        if (schema := self.json_schema()) is not None:
            body["text"] = {"format": {"type": "json_schema", **schema}}
        fails = (
            Fails(path="error.message", reason="failed", message="error.message"),
            Fails(
                path=f"{_MESSAGE}[type=refusal].refusal",
                reason="refused",
                message=f"{_MESSAGE}[type=refusal].refusal",
            ),
            Fails(path="incomplete_details.reason", equals=("max_output_tokens",), reason="length"),
            Fails(path="incomplete_details.reason", equals=("content_filter",), reason="content_filter"),
            Fails(path="status", equals=("failed", "cancelled", "incomplete"), reason="failed"),
        )
        usage = Usage(
            input="usage.input_tokens",
            output="usage.output_tokens",
            cached="usage.input_tokens_details.cached_tokens",
            longest=("max_output_tokens",),
        )
        return Service(
            url=f"{self.base_url}/responses",
            body=body | self.more,
            answer=self.answer(f"{_MESSAGE}[type=output_text].text", fails, "input"),
            usage=usage,
            **self.common("responses"),
        )
