"""OpenAI's protocol, which OpenAI, Azure, vLLM, NIM, Ollama and others speak: chat, responses, embeddings."""

from __future__ import annotations

from typing import Any

from synml_dagster.services.description import Service
from synml_dagster.services.openai.chat import Chat
from synml_dagster.services.openai.embeddings import Embeddings
from synml_dagster.services.openai.responses import Responses

__all__ = ["Chat", "Embeddings", "Responses", "chat", "embeddings", "responses"]


def chat(**parameters: Any) -> Service:
    """Return the description of a chat completion for each row; `Chat` lists the parameters.

    Examples
    --------
    >>> chat(model="gpt-5-mini", prompt="Sum up: {text}", base_url="http://127.0.0.1:8000/v1", key=None).inputs
    ['text']
    """
    return Chat.of(parameters).service()


def responses(**parameters: Any) -> Service:
    """Return the description of a response (`/responses`) for each row; `Responses` lists the parameters."""
    return Responses.of(parameters).service()


def embeddings(**parameters: Any) -> Service:
    """Return the description of embeddings, up to 2,048 texts a request; `Embeddings` lists the parameters.

    Examples
    --------
    >>> embeddings(model="text-embedding-3-small", text="review").inputs
    ['review']
    """
    return Embeddings.of(parameters).service()
