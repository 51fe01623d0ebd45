"""The booster of a training that is not over yet, kept where it outlives ranks, executors and the driver."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

from synml_dagster.learners.lightgbm.worker.early_stopping import History

_NAME = "checkpoint.json"
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on: the trees so far, the metrics so far, and of which training they are."""

    training: str
    rounds: int
    text: str
    history: History = field(default_factory=dict)
    best: dict[str, tuple[float, int]] = field(default_factory=dict)


def write_checkpoint(directory: str, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in `directory` (a path or an fsspec URI) whole."""
    raw = json.dumps({"format": _FORMAT, **checkpoint.__dict__})
    if "://" not in directory:
        os.makedirs(directory, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".checkpoint-", dir=directory)
        with os.fdopen(handle, "w") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, os.path.join(directory, _NAME))
        return
    filesystem, inside = _open(directory)
    filesystem.makedirs(inside, exist_ok=True)
    filesystem.pipe_file(f"{inside}/{_NAME}", raw.encode())


def read_checkpoint(directory: str, training: str) -> Checkpoint | None:
    """Return the checkpoint of this very training, None where there is none or it is another's."""
    try:
        if "://" not in directory:
            with open(os.path.join(directory, _NAME)) as source:
                raw: dict[str, Any] = json.load(source)
        else:
            filesystem, inside = _open(directory)
            raw = json.loads(filesystem.cat_file(f"{inside}/{_NAME}"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if raw.get("format") != _FORMAT or raw.get("training") != training:
        return None
    best = {name: (float(value), int(at)) for name, (value, at) in raw["best"].items()}
    return Checkpoint(raw["training"], int(raw["rounds"]), raw["text"], raw["history"], best)


def clear_checkpoint(directory: str) -> None:
    """Remove the checkpoint of a training that is over."""
    try:
        if "://" not in directory:
            os.remove(os.path.join(directory, _NAME))
        else:
            filesystem, inside = _open(directory)
            filesystem.rm_file(f"{inside}/{_NAME}")
    except FileNotFoundError:
        pass


def _open(directory: str) -> tuple[Any, str]:
    import fsspec

    filesystem, inside = fsspec.core.url_to_fs(directory)
    return filesystem, str(inside).rstrip("/")
