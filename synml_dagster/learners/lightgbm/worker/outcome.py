"""What the ranks hand back: a model, or the one error that says why there is none."""

from __future__ import annotations

import json
from typing import Any, Protocol

from synml_dagster import errors
from synml_dagster.errors import ConfigError, DataError, SetupError, TrainingError
from synml_dagster.learners.lightgbm.data.training_data import TrainingData
from synml_dagster.learners.lightgbm.feature_names import named
from synml_dagster.learners.lightgbm.model import LightGBMModel
from synml_dagster.spark.barrier_group import Message


class Asked(Protocol):
    """What the estimator was asked for, as far as its model says it."""

    objective_function: Any
    label_offset: float
    rounds: int


def raise_errors(messages: list[Message]) -> None:
    """Raise what the first rank that failed says, as the kind of error it was there."""
    problems = [json.loads(m.payload) for m in messages if m.kind == "error"]
    if not problems:
        return
    first = problems[0]
    kinds: dict[str, type[Exception]] = {
        "ConfigError": ConfigError,
        "DataError": DataError,
        "SetupError": SetupError,
        "SourceError": errors.SourceError,
    }
    kind = kinds.get(first["kind"], TrainingError)
    message = (
        first["message"] if kind is not TrainingError else f"rank {first['rank']} failed: {first['message']}"
    )
    error = kind(message)
    error.add_note(f"On the executor:\n{first['trace']}")
    raise error


def model_of(
    messages: list[Message], source: TrainingData, params: dict[str, Any], trainer: Asked
) -> LightGBMModel:
    """Return the model that the ranks handed back."""
    texts = [m.payload for m in messages if m.kind == "model"]
    facts = [json.loads(m.payload) for m in messages if m.kind == "facts"]
    if not messages:  # Spark runs no task where there is no row
        raise DataError(
            "there are no training rows: the table, or what the validation column leaves of it, is empty."
        )
    if len(texts) != 1 or len(facts) != 1:
        raise TrainingError(
            f"the barrier group ended with {len(texts)} models where one was due. Run the training again."
        )
    objective = (
        "custom" if trainer.objective_function is not None else str(params.get("objective", "regression"))
    )
    return LightGBMModel(
        text=named(texts[0].decode(), source.features),
        features=list(source.features),
        vector=source.vector,
        categorical=list(source.categorical),
        objective=objective,
        num_class=int(params.get("num_class", 1)),
        classes=list(source.classes) if source.classes else None,
        label_type=source.label_type,
        label_offset=trainer.label_offset,
        params={**params, "num_iterations": trainer.rounds},
        history=facts[0]["history"],
        best_iteration=facts[0]["best_iteration"],
        facts={k: v for k, v in facts[0].items() if k not in ("history", "best_iteration")},
    )
