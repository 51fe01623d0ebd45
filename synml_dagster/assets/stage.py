"""What every stage of a pipeline shares: its key, its group and its words in the UI."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import dagster as dg

STAGES: dict[str, tuple[str, set[str]]] = {
    "raw": (
        "The table as it came from the source, in a snapshot that the whole run reads.",
        {"spark", "parquet"},
    ),
    "feature_plan": (
        "How each raw column becomes model inputs: fitted once, compiled to Spark and to ONNX.",
        {"spark"},
    ),
    "features": (
        "The model's inputs and label, split into training, validation and test rows.",
        {"spark", "parquet"},
    ),
    "sweep": (
        "Optuna's search over the learner's parameters on the training and validation rows.",
        {"optuna"},
    ),
    "model": (
        "The model, trained on the training rows with the parameters that the sweep found.",
        {"spark"},
    ),
    "evaluation": ("The model on held-out test rows: metrics and curves.", {"spark"}),
    "onnx_model": ("The whole pipeline as one ONNX graph: raw columns in, prediction out.", {"onnx"}),
    "champion": ("The model in production: a registered version that passed the promotion rule.", {"mlflow"}),
    "predictions": ("The rows scored by the champion's ONNX graph on Spark.", {"spark", "onnx", "parquet"}),
    "explanations": ("Exact SHAP values of a sample of the test rows.", {"spark", "numba"}),
    "report": ("One page for people: data, metrics, curves, importance and explained rows.", {"html"}),
}
"""Name, description and kinds of each stage, in the order of the graph."""


def stage_key(pipeline: str, stage: str) -> dg.AssetKey:
    """Return the key of one stage of a pipeline."""
    return dg.AssetKey([pipeline, stage])


def stage(pipeline: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the arguments that `dagster.asset` takes for a stage."""
    description, kinds = STAGES[name]
    return {
        "key": stage_key(pipeline, name),
        "group_name": pipeline,
        "description": description,
        "kinds": kinds,
        "tags": {"synml/pipeline": pipeline},
        # Says nothing of a stage without partitions, but `dg launch --partition-range` asks it of all that it launches.
        "backfill_policy": dg.BackfillPolicy.single_run(),
    } | more


def inputs(pipeline: str, *stages: str) -> dict[str, dg.AssetIn]:
    """Return the inputs of a stage: arguments named as the stages that they come from.

    A stage that takes one with partitions whole gets those that are there.
    """
    present = {"allow_missing_partitions": True}
    return {name: dg.AssetIn(key=stage_key(pipeline, name), metadata=present) for name in stages}


def picture(png: bytes, caption: str) -> dg.MarkdownMetadataValue:
    """Return a picture that the asset's page shows in place."""
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})")


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> dg.MarkdownMetadataValue:
    """Return a table for the asset's page; pipes and line breaks in cells are escaped."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    names = list(header)
    return dg.MetadataValue.md("\n".join([line(names), line("---" for _ in names), *(line(r) for r in rows)]))


def figure(value: float) -> float:
    """Return a metric rounded to what a person reads, as a number that the UI plots over time."""
    return float(f"{value:.6g}")
