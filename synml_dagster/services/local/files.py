"""A model's files: where they are, what is in them, and what they say about each other."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError

if TYPE_CHECKING:
    from synml_dagster.services.description.local_model import LocalModel


def found(local: LocalModel) -> tuple[Path, Path]:
    """Return the files of the graph and of the tokenizer.

    Raises
    ------
    ConfigError
        One is not there.
    """
    files = Path(local.folder) / local.model, Path(local.folder) / local.tokenizer
    for file in files:
        if not file.is_file():
            raise ConfigError(
                f"local.embeddings: there is no file {str(file)!r}; a folder with model.onnx and tokenizer.json is needed"
            )
    return files


def digest(local: LocalModel) -> str:
    """Return a text that is another one when the graph, its weights or the tokenizer are."""
    graph, tokenizer = found(local)
    # Weights that lie beside a graph: model.onnx_data, model.onnx.data.
    beside = sorted(one for one in graph.parent.glob(f"{graph.name}?data*") if one.is_file())
    parts = [
        _digest(str(one), os.stat(one).st_size, os.stat(one).st_mtime_ns)
        for one in (graph, *beside, tokenizer)
    ]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def longest(local: LocalModel) -> int:
    """Return the most tokens that a text may have: as said, else by the tokenizer, else by config.json beside it.

    Raises
    ------
    ConfigError
        Nobody says.
    """
    if local.max_tokens is not None:
        return local.max_tokens
    _, tokenizer = found(local)
    told = json.loads(tokenizer.read_text(encoding="utf-8")).get("truncation")
    if told and told.get("max_length"):
        return int(told["max_length"])
    config = tokenizer.parent / "config.json"
    if config.is_file():
        positions = json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
        if isinstance(positions, int) and positions > 2:
            return positions
    raise ConfigError(
        "local.embeddings: neither the tokenizer nor config.json says how long a text may be; give max_tokens, such as 512"
    )
