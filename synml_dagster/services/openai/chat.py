"""Chat completions."""

from __future__ import annotations

from typing import Any

from synml_dagster.services.description import Fails, Service, Usage
from synml_dagster.services.openai.generation import Generation

_MESSAGE = "choices[0].message"


class Chat(Generation):
    """A chat completion for each row.

    Refusals, answers that were cut off and answers that a filter withheld are errors, and no values.
    """

    def service(self) -> Service:
        """Return the description."""
        content: Any = self.prompt
        if self.image:
            picture = {"url": f"data:{self.image_type};base64,{{{self.image}}}"}
            content = [{"type": "text", "text": self.prompt}, {"type": "image_url", "image_url": picture}]
        system = [{"role": "system", "content": self.system}] if self.system else []
        body: dict[str, Any] = {
            "messages": [*system, {"role": "user", "content": content}],
            "model": self.model,
        }
        if self.max_tokens is not None:
            body["max_completion_tokens"] = self.max_tokens
        if (schema := self.json_schema()) is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        fails = (
            Fails(path=f"{_MESSAGE}.refusal", reason="refused", message=f"{_MESSAGE}.refusal"),
            Fails(path="choices[0].finish_reason", equals=("length",), reason="length"),
            Fails(path="choices[0].finish_reason", equals=("content_filter",), reason="content_filter"),
        )
        usage = Usage(
            input="usage.prompt_tokens",
            output="usage.completion_tokens",
            cached="usage.prompt_tokens_details.cached_tokens",
            longest=("max_completion_tokens", "max_tokens"),
        )
        return Service(
            url=f"{self.base_url}/chat/completions",
            body=body | self.more,
            answer=self.answer(f"{_MESSAGE}.content", fails, "messages"),
            usage=usage,
            **self.common("chat"),
        )
