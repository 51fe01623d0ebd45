"""What a training is asked for, taken apart: functions beside LightGBM's own parameters, files, whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synml_dagster.errors import ConfigError


def take_functions(params: dict[str, Any]) -> tuple[tuple[Callable[..., Any], ...], dict[str, Any]]:
    """Split the functions out of `metric`, LightGBM's names stay."""
    for name in ("metric", "metrics", "metric_types"):
        given = params.get(name)
        if callable(given) or (isinstance(given, list | tuple) and any(callable(m) for m in given)):
            entries = [given] if callable(given) else list(given)
            named = [m for m in entries if not callable(m)]
            rest = {**params, name: named or None}
            return tuple(m for m in entries if callable(m)), rest
    return (), params


def take_schedule(params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Split a learning rate that is a function or a list off; one number stays a parameter."""
    for name in ("learning_rate", "eta", "shrinkage_rate"):
        given = params.get(name)
        if callable(given) or isinstance(given, list | tuple):
            rest = {k: v for k, v in params.items() if k != name}
            return given if callable(given) else tuple(float(v) for v in given), rest
    return None, params


def text_of(name: str, path: Any) -> str:
    """Return the text of a file that a parameter names."""
    try:
        return Path(str(path)).read_text()
    except OSError as problem:
        raise ConfigError(f"{name}: {path!r} cannot be read here: {problem.strerror}.") from problem


def whole(name: str, value: Any) -> int:
    """Return `value` as a whole number of at least 1."""
    number = int(value)
    if number != value or number < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1 but got {value!r}.")
    return number
