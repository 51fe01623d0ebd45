"""One trial in one task of an executor: reads the rows once, trains a model a fold, says what came of it.

Rows, folds and what learners make of them stay in the executor's Python process for the next trial.
"""

from __future__ import annotations

import io
import json
import time
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError, SynmlError
from synml_dagster.learners import TrainedModel, learner_of
from synml_dagster.learners.judging import StoppedError
from synml_dagster.learners.one_process.rows import Rows, rows_of
from synml_dagster.tuning.feature_choice import split_choice
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.pruners import rule_of
from synml_dagster.tuning.rungs import Curve, RungJudge

if TYPE_CHECKING:
    import pyarrow

    from synml_dagster.features import Choice, FeaturePlan
    from synml_dagster.learners import TrainSpec

SCHEMA = "told string, answers binary, labels binary"
_TIMED_ROWS = 1000
_MOST_HELD = 4
"""A process keeps the rows of so many choices of features, the last ones asked for."""
_held: OrderedDict[tuple[str, str], Loaded] = OrderedDict()
_TRAIN, _VALIDATION = 0, 1


@dataclass(frozen=True)
class TrialData:
    """Where the rows of all trials are.

    Attributes
    ----------
    key
        Of the rows and folds: processes keep what they have loaded under it.
    train, validation
        Paths of Parquet files, where tasks reach them; otherwise the rows come with the task.
    columns
        Columns of the files: the features of every choice, label, and weight, group and place where there are any.
    plan
        The feature plan as JSON, with the ways to make features that there are to choose from.
    """

    key: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    columns: tuple[str, ...]
    folds: FoldPlan
    plan: str
    measure: Measure
    own_metric: str | None = None
    """The learner's own metric that decides in place of the measure."""


@dataclass(frozen=True)
class Loaded:
    """Rows as trials take them."""

    plan: FeaturePlan
    """That of the choice."""
    parts: list[tuple[Rows, Rows, NDArray[np.int64]]]
    """Rows to train on, rows held out, and the places of these among all that are held out."""
    held: Rows
    """All rows that are held out, in their own order."""


@dataclass(frozen=True)
class Trial:
    """What a task is sent."""

    data: TrialData
    spec: TrainSpec
    params: Mapping[str, Any]
    threads: int
    with_labels: bool
    curves: tuple[Curve, ...] = ()
    pruned: tuple[bool, ...] = ()
    pruner: str | None = None

    def __call__(self, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        """Yield one row: JSON, the answers for the held-out rows, and their labels where they were asked for."""
        import pyarrow as pa

        answers, labels = b"", b""
        try:
            choice, params = split_choice(self.params)
            loaded = load(self.data, choice, batches)
            judge = self._judge(loaded)
            told, found = run(self.data, loaded, self.spec, params, self.threads, judge)
            answers = packed(answers=found)
            if self.with_labels:
                labels = packed_labels(loaded.held)
        except StoppedError as stopped:
            told = {
                "value": stopped.value,
                "rounds": stopped.rounds,
                "pruned": True,
                "pruner": self.pruner,
                "folds": [],
                "curve": judge.curve,
            }
        except Exception as problem:
            kind = "" if isinstance(problem, SynmlError) else f"{type(problem).__name__}: "
            told = {"error": f"{kind}{problem}", "trace": traceback.format_exc()[-4000:]}
        for _ in batches:  # a task that leaves rows behind loses its process, and with it what was loaded
            pass
        yield pa.RecordBatch.from_pydict(
            {"told": [json.dumps(told)], "answers": [answers], "labels": [labels]},
            schema=pa.schema([("told", pa.string()), ("answers", pa.binary()), ("labels", pa.binary())]),
        )

    def _judge(self, loaded: Loaded) -> RungJudge:
        """Return what compares this trial with the others on its first training, by the metric that its family stops by."""
        _, maximize = learner_of(self.spec.learner).metric(loaded.plan, self.spec)
        rule = rule_of(self.pruner, self.curves, self.pruned, maximize) if self.pruner is not None else None
        return RungJudge(maximize, rule)


def run(
    data: TrialData,
    loaded: Loaded,
    spec: TrainSpec,
    params: Mapping[str, Any],
    threads: int,
    judge: RungJudge | None = None,
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return what is told of a trial, and the answers for the held-out rows; of repeated folds their mean."""
    family, measure = learner_of(spec.learner), data.measure
    answers: NDArray[np.float64] | None = None
    values, rounds, kilobytes, milliseconds = [], [], [], []
    for number, (train, held, place) in enumerate(loaded.parts):
        asked = judge if number == 0 else None
        model = family.fit_rows(loaded.plan, spec, params, train, held, threads=threads, judge=asked)
        found = np.asarray(model.predict_held(held.X), np.float64)
        if not np.isfinite(found).all():
            raise DataError(
                "the model's predictions are not finite; a smaller learning rate or more regularisation helps"
            )
        values.append(
            measure.value(*measure.losses(found, held))
            if data.own_metric is None
            else model.validation_score(data.own_metric)[1]
        )
        rounds.append(model.iterations)
        kilobytes.append(len(model.text) / 1024)
        milliseconds.append(time_to_score(model, held))
        if answers is None:
            answers = np.zeros((len(loaded.held), *found.shape[1:]))
        answers[place] += found
    assert answers is not None
    told = {
        "value": float(np.mean(values)),
        "folds": values if len(values) > 1 else [],
        "rounds": round(float(np.mean(rounds))),
        "kilobytes": round(float(np.mean(kilobytes)), 1),
        "milliseconds": round(float(np.median(milliseconds)), 3),
        "curve": judge.curve if judge is not None else (),
    }
    return told, answers / data.folds.repeats


def load(data: TrialData, choice: Choice, batches: Iterator[pyarrow.RecordBatch]) -> Loaded:
    """Return the rows of a choice of features, from this process where an earlier trial of that choice has loaded them.

    Rows, and so folds and answers, are in one order whatever the choice is: that of the content of the described features.
    """
    place = (data.key, json.dumps(sorted(choice.items())))
    known = _held.get(place)
    if known is None:
        for other in [k for k in _held if k[0] != data.key]:
            del _held[other]
        while len(_held) >= _MOST_HELD:
            _held.popitem(last=False)
        known = _held[place] = _load(data, choice, batches)
    _held.move_to_end(place)
    return known


def _load(data: TrialData, choice: Choice, batches: Iterator[pyarrow.RecordBatch]) -> Loaded:
    import pyarrow as pa

    from synml_dagster.features import FeaturePlan

    whole = FeaturePlan.from_json(data.plan)
    plan, described = whole.chosen(choice), whole.feature_names
    wanted = {*described, *plan.feature_names}
    columns = [c for c in data.columns if c in wanted or c not in whole.with_all_parts().feature_names]
    tables = _from_files(data, columns) if data.train else _from_rows(data, batches)
    if not data.folds.folds:
        train, held = (rows_of(t, plan.feature_names, described) for t in tables)
        return Loaded(plan, [(train, held, np.arange(len(held)))], held)
    pool = rows_of(pa.concat_tables(tables, promote_options="permissive"), plan.feature_names, described)
    cuts = data.folds.cut(pool, stratified=plan.task in ("binary", "multiclass"))
    apart = np.unique(np.concatenate([b for _, b in cuts]))  # by time the oldest rows are never held out
    at = np.empty(len(pool), np.int64)
    at[apart] = np.arange(len(apart))
    parts = [(pool.take(a), pool.take(b), at[b]) for a, b in cuts]
    return Loaded(plan, parts, pool if len(apart) == len(pool) else pool.take(apart))


def _from_files(data: TrialData, columns: list[str]) -> list[pyarrow.Table]:
    import pyarrow as pa

    from synml_dagster.files.parquet_files import open_parquet

    found = []
    for paths in (data.train, data.validation):
        parts = [open_parquet(path).read(columns=columns).select(columns) for path in paths]
        found.append(pa.concat_tables(parts, promote_options="permissive"))
    return found


def _from_rows(data: TrialData, batches: Iterator[pyarrow.RecordBatch]) -> list[pyarrow.Table]:
    """Take Spark's rows: the columns by place, and behind them which part a row belongs to."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(list(batches)).rename_columns([*data.columns, "_part"])
    parts = [table.filter(pc.equal(table.column("_part"), part)) for part in (_TRAIN, _VALIDATION)]
    return [part.drop_columns(["_part"]) for part in parts]


def time_to_score(model: TrainedModel, held: Rows) -> float:
    """Return the milliseconds that 1,000 rows take."""
    rows = held.X[:_TIMED_ROWS]
    model.predict(rows[:1])  # the first answers of a process take several times as long
    began = time.perf_counter()
    model.predict(rows)
    return (time.perf_counter() - began) * 1000 * _TIMED_ROWS / len(rows)


def packed(**arrays: NDArray[Any]) -> bytes:
    """Return arrays as the bytes of an `.npz`."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def packed_labels(rows: Rows) -> bytes:
    """Return what `labels_of` reads."""
    group = {} if rows.group is None else {"group": rows.group}
    return packed(y=rows.y, weight=rows.weight, **group)


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """Return what `packed` took."""
    with np.load(io.BytesIO(content)) as found:
        return dict(found)


def labels_of(content: Mapping[str, NDArray[Any]]) -> Rows:
    """Return held-out rows without their features."""
    y = content["y"]
    return Rows(np.empty((len(y), 0), np.float32), y, content["weight"], len(y), content.get("group"))
