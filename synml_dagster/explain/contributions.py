"""Why each row was scored as it was: what its raw columns add to the prediction, found by the tasks that score it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.explain.base import explainer_for, is_explained_exactly
from synml_dagster.explain.value_texts import value_texts
from synml_dagster.explain.worker import Payload, explainer
from synml_dagster.learners import TreeEnsemble
from synml_dagster.onnx.scorer import REASON, answers_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.columns import RawInput
    from synml_dagster.features import FeaturePlan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners import TrainedModel
    from synml_dagster.onnx import OnnxModel

BASE, RAW_SCORE, PREFIX = "base_value", "raw_score", "contribution_"
_VALUES_AT_ONCE = 4_000_000  # of rows, features and outputs
_APART = 1e-3
"""How far a raw score of the graph, a float32, may be from the sum, by the largest of the rows: beyond, they are two models."""


@dataclass(frozen=True)
class Contributions:
    """Makes of a scored batch the contributions of its raw columns and its reasons; goes to the tasks that score.

    `contributions_of` makes one.

    Attributes
    ----------
    model
        The model's family and text.
    columns, sizes
        The raw columns, and how many features each of them has.
    features
        The model's features, in its order: those of the columns one after the other.
    outputs
        What the graph has to be asked for.
    offset
        What predictions add to a raw score.
    scores
        How many raw scores of the graph make the model's own: it adds up what a forest averages.
    top
        How many reasons.
    detailed
        The places of the features that have columns of their own.
    exact
        Whether the values are exact.
    rows_scored
        How many rows are scored to explain one, 0 where the values are exact.
    method
        How the values are found, in words for people.
    """

    model: Payload
    columns: tuple[RawInput, ...]
    sizes: tuple[int, ...]
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    offset: float
    scores: int
    top: int
    detailed: tuple[int, ...]
    exact: bool
    rows_scored: int
    method: str

    @property
    def names(self) -> list[str]:
        """The columns of contributions, raw columns first."""
        return [PREFIX + raw.name for raw in self.columns] + [
            PREFIX + self.features[i] for i in self.detailed
        ]

    def schema(self, answers: pa.Schema) -> pa.Schema:
        """Return the answers' columns without raw scores and features; base value, raw score, reasons and contributions."""
        import pyarrow as pa

        number, text = pa.float64(), pa.string()
        reasons = [
            field
            for i in range(1, self.top + 1)
            for field in (
                pa.field(f"reason_{i}", text),
                pa.field(f"reason_{i}_value", text),
                pa.field(f"reason_{i}_contribution", number),
            )
        ]
        return pa.schema(
            [
                *(answers.field(name) for name in self._answers),
                pa.field(BASE, number),
                pa.field(RAW_SCORE, number),
                *reasons,
                *(pa.field(name, number) for name in self.names),
                *([answers.field(REASON)] if REASON in answers.names else []),
            ]
        )

    def __call__(self, given: pa.RecordBatch, answers: pa.RecordBatch) -> pa.RecordBatch:
        """Return these columns of a batch; those of rows that could not be scored are null."""
        import pyarrow as pa

        schema = self.schema(answers.schema)
        matrix = answers.column(self.outputs[-1])
        rows = None
        if matrix.null_count:
            good = np.flatnonzero(matrix.is_valid().to_numpy(zero_copy_only=False))
            rows = np.full(len(matrix), -1)
            rows[good] = np.arange(len(good))
            given, scored = given.take(pa.array(good)), answers.take(pa.array(good))
        else:
            scored = answers
        made = self._made(given, scored)
        if rows is not None:
            places = pa.array(rows, mask=rows < 0)
            made = [column.take(places) for column in made]
        kept = [answers.column(name) for name in self._answers]
        last = [answers.column(REASON)] if REASON in answers.schema.names else []
        return pa.RecordBatch.from_arrays([*kept, *made, *last], schema=schema)

    @property
    def _answers(self) -> tuple[str, ...]:
        return tuple(name for name in self.outputs[:-1] if name != RAW_SCORE)

    def _made(self, given: pa.RecordBatch, scored: pa.RecordBatch) -> list[pa.Array]:
        import pyarrow as pa

        X = _matrix(scored.column(self.outputs[-1]), len(self.features)).astype(np.float32, copy=False)
        graph = _matrix(scored.column(RAW_SCORE), 0).astype(np.float64) / self.scores
        base, phi = self._explained(X, graph)
        raw = base + phi.sum(1)
        starts = np.cumsum((0, *self.sizes[:-1]))
        whole = np.add.reduceat(phi, starts, axis=1) if len(starts) < phi.shape[1] else phi
        by_column = np.ascontiguousarray(whole.T)
        return [
            pa.array(base + self.offset),
            pa.array(raw + self.offset),
            *self._reasons(given, by_column),
            *(pa.array(column) for column in by_column),
            *(pa.array(np.ascontiguousarray(phi[:, i])) for i in self.detailed),
        ]

    def _explained(
        self, X: NDArray[np.float32], graph: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return base values [n] and SHAP values [n, features] towards the predicted class of several, else of the one score."""
        from synml_dagster.onnx.worker import task_resources

        found = explainer(self.model)
        k, (threads, _) = found.num_outputs, task_resources()
        phi = np.empty(X.shape)
        base = np.empty(len(X))
        chosen = graph.argmax(1) if k > 1 else np.zeros(len(X), np.int64)
        step = max(256, _VALUES_AT_ONCE // max(1, X.shape[1] * k))
        for begin in range(0, len(X), step):
            part = slice(begin, begin + step)
            values, _ = found.values(X[part], threads=threads)
            phi[part] = values if k == 1 else np.take_along_axis(values, chosen[part, None, None], 2)[:, :, 0]
            base[part] = found.base[chosen[part]]
        of_graph = np.take_along_axis(graph, chosen[:, None], 1)[:, 0]
        apart = np.abs(base + phi.sum(1) - of_graph)
        known = np.isfinite(of_graph)
        limit = _APART * max(1.0, float(np.abs(of_graph[known]).max(initial=0.0)))
        if bool((apart[known] > limit).any()):
            worst = int(np.where(known, apart, 0).argmax())
            raise ModelError(
                f"contributions: a row's base value and contributions add up to {base[worst] + phi[worst].sum():.6g}, and the graph's raw score is "
                f"{of_graph[worst]:.6g}: the bundle's graph and its model are not the same. Materialize onnx_model and champion again."
            )
        return base, phi

    def _reasons(self, given: pa.RecordBatch, by_column: NDArray[np.float64]) -> list[pa.Array]:
        """Return name, value and contribution of the columns that add or take most, as many as `top`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns, n = by_column.shape
        size = np.abs(by_column)
        rows = np.arange(n)
        which = np.full((self.top, n), -1)
        for place in which[: min(self.top, columns)]:
            best = size.argmax(0)
            told = size[best, rows] > 0  # a column that changes nothing is no reason
            place[told] = best[told]
            size[best, rows] = -1.0
        names = pa.array([raw.name for raw in self.columns], pa.string())
        flat = which.ravel()
        # The texts of a column's values are made at once, of those rows alone that have it among their reasons.
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], np.arange(columns + 1))
        texts = []
        for i, raw in enumerate(self.columns):
            own = order[bounds[i] : bounds[i + 1]] % n
            if len(own):
                texts.append(value_texts(given.column(raw.name).take(pa.array(own)), raw))
        found = pa.concat_arrays(texts) if texts else pa.nulls(0, pa.string())
        back = np.full(len(flat), -1)
        back[order[bounds[0] :]] = np.arange(len(flat) - bounds[0])
        made = []
        for place, where in zip(which, back.reshape(which.shape), strict=True):
            none = place < 0
            values = by_column[np.maximum(place, 0), rows]
            made += [
                names.take(pa.array(place, mask=none)),
                found.take(pa.array(where, mask=none)),
                pc.if_else(pa.array(~none), pa.array(values), pa.scalar(None, pa.float64())),
            ]
        return made


def contributions_of(
    model: OnnxModel, trained: TrainedModel, plan: FeaturePlan, *, top: int = 3, detailed: bool = False
) -> Contributions:
    """Return what makes contributions of the rows that `model` scores; `score(..., outputs=it.outputs, further=it)` takes it.

    Parameters
    ----------
    model
        The exported pipeline.
    trained, plan
        What it was exported of; they are in its bundle.
    top
        How many reasons a row has, from 0.
    detailed
        Also a column for each feature of the raw columns that have several.

    Raises
    ------
    ConfigError
        Two columns would have the same name.
    ModelError
        The graph is not that of this model and plan, or the model cannot be explained (linear trees).
    """
    from synml_dagster.features import onnx_fragment

    inner = onnx_fragment(plan).output
    made = {name for node in model.proto.graph.node for name in node.output}
    about = (plan.fingerprint, plan.label.column, json.dumps(plan.feature_names, ensure_ascii=False))
    if (
        tuple(map(model.metadata.get, ("plan_fingerprint", "label", "features"))) != about
        or inner not in made
    ):
        raise ModelError(
            "contributions: the graph was not made of this plan by this version of synml_dagster, so that its features cannot be told. "
            "Materialize onnx_model and champion again."
        )
    form = trained.form
    how = explainer_for(form)
    parts = [column for column in plan.columns if column.features]
    sizes = tuple(len(column.features) for column in parts)
    features = tuple(name for column in parts for name in column.features)
    several = np.repeat(np.array(sizes) > 1, sizes)
    found = Contributions(
        model=Payload(trained.learner, trained.text),
        columns=tuple(column.input for column in parts),
        sizes=sizes,
        features=features,
        outputs=(*answers_of(model), inner),
        offset=trained.label_offset,
        scores=max(1, form.iterations) if isinstance(form, TreeEnsemble) and form.average_output else 1,
        top=top,
        detailed=tuple(int(i) for i in np.flatnonzero(several)) if detailed else (),
        exact=is_explained_exactly(form),
        rows_scored=how.rows_scored,
        method=how.method,
    )
    for name, count in Counter(name.casefold() for name in found.names).items():
        if count > 1:
            raise ConfigError(
                f"contributions: two columns would be called {name!r}, of a raw column and of a feature. Leave the detailed ones out, or rename the raw column."
            )
    return found


def explain_predictions(
    data: DataFrame | ParquetFiles,
    model: OnnxModel,
    trained: TrainedModel,
    plan: FeaturePlan,
    *,
    keep: Sequence[str] | None = None,
    top: int = 3,
    detailed: bool = False,
    bad_rows: str = "raise",
    spark: SparkSession | None = None,
) -> DataFrame:
    """Return the rows of `data` with their predictions and why: a contribution for each raw column, and the reasons.

    Parameters
    ----------
    data, keep, bad_rows, spark
        As for `synml_dagster.onnx.score`.
    model, trained, plan
        Those of one bundle: `OnnxModel.load`, `TrainedModel.load` and `FeaturePlan.load` open them.
    top, detailed
        As for `contributions_of`.

    Returns
    -------
    DataFrame
        The kept columns; `prediction` and, of classes, `probability`, and `decision` and `expected_cost` of a graph with costs; `base_value` and `raw_score` (double); `reason_1`,
        `reason_1_value` (string) and `reason_1_contribution` (double) up to `top`; `contribution_<column>` (double). Base value and
        contributions add up to the raw score: of the second of two classes, of the predicted one of several, else of the value.

    Raises
    ------
    ConfigError, DataError, ModelError
        As for `contributions_of` and `score`.
    """
    from synml_dagster.onnx import score

    asked = contributions_of(model, trained, plan, top=top, detailed=detailed)
    return score(data, model, keep=keep, outputs=asked.outputs, bad_rows=bad_rows, spark=spark, further=asked)


def _matrix(values: pa.Array, width: int) -> NDArray[Any]:
    """Return a column of numbers or of lists of them as an array [rows, width]; width 0 is what there is."""
    import pyarrow as pa

    if pa.types.is_list(values.type):
        flat = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), width or (len(flat) // len(values) if len(values) else 1))
    return values.to_numpy(zero_copy_only=False).reshape(len(values), 1)
