"""Trains a multilayer perceptron on standardised columns, stopping early by the validation rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError, TrainingError
from synml_dagster.learners.link import Link
from synml_dagster.learners.mlp.backpropagation import Kind, Network, epoch
from synml_dagster.learners.mlp.model import PerceptronModel
from synml_dagster.learners.mlp.text import write_network
from synml_dagster.learners.network import NetworkForm
from synml_dagster.learners.one_process.design import Design
from synml_dagster.learners.one_process.losses import METRIC, loss
from synml_dagster.learners.one_process.rows import Rows, background, sample_note
from synml_dagster.learners.progress import Progress

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings

_FARTHEST = 10.0
"""Standard deviations from the mean beyond which a number counts as that far."""
_SHUFFLED_ROWS = 2000
_BLOCK = 50_000
_PACE = 1.0


def train(
    plan: FeaturePlan,
    spec: Settings,
    params: Mapping[str, Any],
    known: Rows,
    held: Rows,
    *,
    on_progress: Callable[[Any], None] | None = None,
) -> PerceptronModel:
    """Train for up to `spec.rounds` epochs, on `known`, and keep the one that was best on `held`.

    The learning rate is halved when a third of `spec.early_stopping` epochs have passed without a better one.

    Raises
    ------
    DataError
        A classifier's training rows have one class alone.
    TrainingError
        The loss is not a number in any epoch.
    """
    began, task, features = time.monotonic(), plan.task, plan.feature_names
    kind = cast(Kind, task)
    count = len(plan.label.classes or [])
    design = Design.of(known.X, known.weight, {features.index(n) for n in plan.categorical_features})
    low, high = _bounds(design)
    targets, start, scale = _targets(known, kind, count)
    weight = (known.weight / known.weight.mean()).astype(np.float32)
    columns = _columns(design, known.X, low, high)
    seen = _columns(design, held.X, low, high)
    rng = np.random.default_rng(spec.seed)
    hidden = [int(params["width"])] * int(params["layers"])
    network = Network.drawn([columns.shape[1], *hidden, targets.shape[1]], start, rng)
    link = {"regression": Link(), "binary": Link("logistic"), "multiclass": Link("softmax")}[kind]

    rate, losses, best, since = float(params["learning_rate"]), list[float](), -1, 0
    kept, patience, told = network.kept(), max(1, spec.early_stopping // 3), began
    for number in range(spec.rounds):
        with np.errstate(over="ignore", invalid="ignore"):
            epoch(
                network,
                columns,
                targets,
                weight,
                kind=kind,
                rate=rate,
                decay=float(params["weight_decay"]),
                dropout=float(params["dropout"]),
                batch=int(params["batch_size"]),
                rng=rng,
            )
            answers = link.apply(network.raw_scores(seen) * scale[1] + scale[0])
            losses.append(loss(answers[:, 0] if answers.shape[1] == 1 else answers, held, task))
        better = np.isfinite(losses[-1]) and (best < 0 or losses[-1] < losses[best])
        if better or (not spec.early_stopping and np.isfinite(losses[-1])):
            kept = network.kept()
        best, since = (number, 0) if better else (best, since + 1)
        now = time.monotonic()
        if on_progress and (now - told >= _PACE or number + 1 == spec.rounds):
            told, left = now, (now - began) / (number + 1) * (spec.rounds - number - 1)
            metrics = {"validation": {METRIC[task]: losses[-1]}}
            on_progress(Progress(number + 1, spec.rounds, metrics, now - began, left))
        if spec.early_stopping:
            if since >= spec.early_stopping or not np.isfinite(losses[-1]):
                break
            if since and since % patience == 0:
                rate /= 2
    if best < 0:
        raise TrainingError(
            f"the network's loss is not a number from the first epoch on. Lower train.params.learning_rate, which is {params['learning_rate']:g}."
        )
    form = _form(design, kept, low, high, scale, link, task != "regression", background(known.X))
    model = PerceptronModel(
        text=write_network(form),
        features=list(features),
        categorical=list(plan.categorical_features),
        objective={"regression": "squared error", "binary": "logistic", "multiclass": "multinomial"}[kind],
        history={"validation": {METRIC[task]: losses}},
        best_iteration=best + 1 if spec.early_stopping else None,
        params={k: v for k, v in params.items() if v is not None},
        facts={
            "rows": len(known.y),
            "rows of the table": known.of,
            "epochs kept": best + 1 if spec.early_stopping else len(losses),
            "columns": int(columns.shape[1]),
            "notes": sample_note(known, "a network"),
        },
    )
    model.added_loss = _added_loss(model, held, task, spec.seed)
    model.facts["seconds"] = round(time.monotonic() - began, 3)
    return model


def _bounds(design: Design) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how far each feature's numbers may go: `_FARTHEST` standard deviations from the mean, categories anywhere."""
    low = np.full(design.features, -np.inf, np.float32)
    high = np.full(design.features, np.inf, np.float32)
    with np.errstate(over="ignore"):
        low[design.numeric] = design.mean - _FARTHEST * design.spread
        high[design.numeric] = design.mean + _FARTHEST * design.spread
    return low, high


def _columns(
    design: Design, X: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> Any:
    """Return the design of rows in float32, a block of rows at a time."""
    parts = []
    for start in range(0, max(1, len(X)), _BLOCK):
        part = X[start : start + _BLOCK]
        bounded = np.where(np.isfinite(part), np.clip(part, low, high), np.float32(np.nan))
        parts.append(design.columns(bounded).astype(np.float32))
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    from scipy import sparse

    return sparse.vstack(parts, format="csr")


def _targets(
    known: Rows, kind: Kind, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[float, float]]:
    """Return the targets `[n, outputs]`, the raw scores to start from, and the mean and spread that numbers are measured by."""
    if kind == "regression":
        middle = float(np.average(known.y, weights=known.weight))
        spread = float(np.sqrt(np.average((known.y - middle) ** 2, weights=known.weight))) or 1.0
        return ((known.y - middle) / spread).astype(np.float32)[:, None], np.zeros(1), (middle, spread)
    if len(np.unique(known.y[known.weight > 0])) < 2:
        raise DataError(
            "all training rows with a weight have one class; there is nothing to tell apart. Choose another split, or bring more rows."
        )
    index = known.y.astype(np.int64)
    share = np.maximum(np.bincount(index, known.weight, minlength=max(2, count)) / known.weight.sum(), 1e-6)
    if kind == "binary":
        return index.astype(np.float32)[:, None], np.array([np.log(share[1] / share[0])]), (0.0, 1.0)
    return np.eye(count, dtype=np.float32)[index], np.log(share), (0.0, 1.0)


def _form(
    design: Design,
    layers: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    scale: tuple[float, float],
    link: Link,
    classifies: bool,
    behind: NDArray[np.float32],
) -> NetworkForm:
    weights = [one.astype(np.float64) for one in layers[0]]
    biases = [one.astype(np.float64) for one in layers[1]]
    weights[-1] *= scale[1]
    biases[-1] = biases[-1] * scale[1] + scale[0]
    first = design.terms(biases[0], weights[0].T, Link(), False)
    return NetworkForm(low, high, first, tuple(weights[1:]), tuple(biases[1:]), link, classifies, behind)


def _added_loss(model: PerceptronModel, held: Rows, task: str, seed: int) -> list[float]:
    """Return the loss that each feature's values, shuffled over some validation rows, add (Breiman 2001)."""
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(held.y))[:_SHUFFLED_ROWS])
    some = some[held.weight[some] > 0]
    if len(some) == 0:
        return [0.0] * len(model.features)
    part = Rows(held.X[some], held.y[some], held.weight[some], len(some))
    base, order, found = loss(model.predict(part.X), part, task), rng.permutation(len(some)), []
    for i in range(part.X.shape[1]):
        own = part.X[:, i].copy()
        part.X[:, i] = own[order]
        found.append(max(0.0, loss(model.predict(part.X), part, task) - base))
        part.X[:, i] = own
    return found
