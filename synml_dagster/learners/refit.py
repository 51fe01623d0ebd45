"""Trains a model once more on the rows that had been held out from it, for as many rounds as they have shown to be good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from synml_dagster.files import ParquetFiles
from synml_dagster.learners.base import Learner
from synml_dagster.learners.spec import TrainSpec
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeaturePlan


def refitted(
    model: TrainedModel,
    family: Learner,
    spark: SparkSession,
    plan: FeaturePlan,
    spec: TrainSpec,
    chosen: Mapping[str, Any],
    rows: ParquetFiles,
    validation: ParquetFiles,
    *,
    on_progress: Callable[[Any], None] | None = None,
    checkpoint: str | None = None,
) -> TrainedModel:
    """Return the model trained on training and validation rows together.

    Where it had stopped early, it is trained for the best round's number times the rows' growth: more rows carry more rounds
    before they are overfitted. Its history and validation metric stay those of the training that the validation rows were held
    out from; `facts["refit"]` and a note say so. A family whose training itself is steered by validation rows is left as it is.

    Parameters
    ----------
    model
        What `family` made of `rows` by `spec` and `chosen`, held out from `validation`.
    """
    notes = list(model.facts.get("notes", []))
    if not family.refits:
        why = f"{family.title} is not trained again on the validation rows: they have steered its learning rate. It has seen the training rows alone"
        model.facts["notes"] = [*notes, why]
        return model
    few, more = rows.count(), validation.count()
    grown = (few + more) / few
    best, said = model.best_iteration, spec.model_dump(exclude_unset=True)
    steps = max(1, round(best * grown)) if best else None
    if steps is not None:
        said |= {"rounds": steps, "early_stopping": 0}
    both = ParquetFiles((*rows.paths, *validation.paths), few + more, rows.schema_json)
    again = family.fit(
        spark,
        plan,
        TrainSpec(**said),
        chosen,
        both,
        validation,
        on_progress=on_progress,
        checkpoint=checkpoint,
    )
    again.history, again.best_iteration = model.history, model.best_iteration
    long = f" for {steps:,} rounds, the best {best:,} of before times {grown:.3g}" if steps else ""
    note = f"trained again on training and validation rows, {few + more:,} in all{long}; what is told of rounds and validation rows is of the training before, on {few:,} rows"
    again.facts["refit"] = {"rows": few + more, "rounds": steps, "best round before": best}
    again.facts["notes"] = [*dict.fromkeys([*notes, *again.facts.get("notes", []), note])]
    return again
