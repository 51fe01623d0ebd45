"""What every stage of a pipeline shares: its key, its group and its words in the UI."""

from __future__ import annotations

import base64
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import dagster as dg

from synml_dagster.errors import SynmlError

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

ON_REQUEST: dict[str, tuple[str, set[str]]] = {
    "data_balance": (
        "How the labelled rows are spread over the groups of the sensitive columns, measured before training.",
        {"spark"},
    ),
    "fairness": ("How the model's answers on the test rows differ between the groups.", {"spark"}),
}
"""The same of stages that a description asks for by `balance`."""


SPARK_POOL = "spark"
"""Dagster's pool of all steps that use Spark: without a limit until somebody sets one."""
_NO_SPARK = frozenset({"report"})


def stage_key(pipeline: str, stage: str) -> dg.AssetKey:
    """Return the key of one stage of a pipeline."""
    return dg.AssetKey([pipeline, stage])


def clearly(body: Callable[..., Any]) -> Callable[..., Any]:
    """Let the first line of a step's failure be what this package's error says, and not that an op raised one."""

    if inspect.isgeneratorfunction(body):

        @functools.wraps(body)
        def generated(*arguments: Any, **named: Any) -> Any:
            with _said_first():
                yield from body(*arguments, **named)

        return generated

    @functools.wraps(body)
    def called(*arguments: Any, **named: Any) -> Any:
        with _said_first():
            return body(*arguments, **named)

    return called


@contextmanager
def _said_first() -> Iterator[None]:
    try:
        yield
    except SynmlError as problem:
        raise dg.Failure(description=f"{type(problem).__name__}: {problem}") from problem


def stage(pipeline: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the arguments that `dagster.asset` takes for a stage."""
    description, kinds = (STAGES | ON_REQUEST)[name]
    return {
        "key": stage_key(pipeline, name),
        "group_name": pipeline,
        "description": description,
        "kinds": kinds,
        "tags": {"synml/pipeline": pipeline},
        "code_version": version("synml-dagster"),
        # Says nothing of a stage without partitions, but `dg launch --partition-range` asks it of all that it launches.
        "backfill_policy": dg.BackfillPolicy.single_run(),
        **({} if name in _NO_SPARK else {"pool": SPARK_POOL}),
    } | more


def gate(
    pipeline: str, name: str, check: str, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """Return the spec of a check of one stage."""
    return dg.AssetCheckSpec(
        check, asset=stage_key(pipeline, name), description=description, blocking=blocking
    )


def outcome(
    check: str,
    passed: bool,
    said: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    only_warns: bool = False,
) -> dg.AssetCheckResult:
    """Return the result of a check, with one sentence on it; `only_warns` where a person should look and nothing is wrong."""
    severity = dg.AssetCheckSeverity.WARN if only_warns else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        check_name=check, passed=passed, severity=severity, description=said, metadata=metadata
    )


def inputs(pipeline: str, *stages: str) -> dict[str, dg.AssetIn]:
    """Return the inputs of a stage: arguments named as the stages that they come from.

    A stage that takes one with partitions whole gets those that are there.
    """
    present = {"allow_missing_partitions": True}
    return {name: dg.AssetIn(key=stage_key(pipeline, name), metadata=present) for name in stages}


def picture(png: bytes, caption: str) -> dg.MarkdownMetadataValue:
    """Return a picture that the asset's page shows in place."""
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})")


def pictures(pngs: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """Return several pictures as one entry, each under its name."""
    return dg.MetadataValue.md(
        "\n\n".join(f"**{name}**\n\n{picture(png, name).value}" for name, png in pngs.items())
    )


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> dg.MarkdownMetadataValue:
    """Return a table for the asset's page; pipes and line breaks in cells are escaped."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    names = list(header)
    return dg.MetadataValue.md("\n".join([line(names), line("---" for _ in names), *(line(r) for r in rows)]))


def figure(value: float) -> float:
    """Return a metric rounded to what a person reads, as a number that the UI plots over time."""
    return float(f"{value:.6g}")
