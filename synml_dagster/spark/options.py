"""Options of Spark's readers and writers, as a description holds them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def _as_text(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}


SparkOptions = Annotated[dict[str, str], BeforeValidator(_as_text)]
"""A mapping whose values Spark takes as text; YAML has numbers and truth values."""
