"""What runs in Spark's Python workers: one scorer per worker and model, reused by its batches and tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synml_dagster.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.onnx.scorer import Scorer

_SCORERS: dict[tuple[Any, ...], Scorer] = {}
_MOST_SCORERS = 8


@dataclass(frozen=True)
class Shipment:
    """How a model comes to a worker: its bytes, a path that the worker can open, or a file that Spark sent along."""

    digest: str
    content: bytes | None = None
    path: str | None = None
    artifact: str | None = None

    def open(self) -> Any:
        """Return the model."""
        from synml_dagster.onnx.model import OnnxModel

        if self.content is not None:
            return OnnxModel(self.content)
        if self.path is not None:
            return OnnxModel(Path(self.path))
        from pyspark import SparkFiles

        assert self.artifact is not None
        file = Path(SparkFiles.get(self.artifact))
        if not file.is_file():
            raise SetupError(
                f"The model {self.artifact!r} did not reach this executor; see Spark's log for its artifacts."
            )
        return OnnxModel(file)


@dataclass(frozen=True)
class Place:
    """Which column of a batch holds the model's column `name`, and which value of its lists where it is a list of several."""

    name: str
    column: int
    value: int | None = None


class Further(Protocol):
    """Makes other columns of what a scorer answers, row by row; goes to the tasks as it is.

    A last column of the answers that says why rows are bad stays the last one.
    """

    def schema(self, answers: pa.Schema) -> pa.Schema:
        """Return the columns that are made of answers of this schema."""
        ...

    def __call__(self, given: pa.RecordBatch, answers: pa.RecordBatch) -> pa.RecordBatch:
        """Return them for the rows of `answers`; `given` holds the columns that the model took."""
        ...


@dataclass(frozen=True)
class ScoreTask:
    """Scores the batches of one task; `options` are those of `Scorer`, as pairs.

    A batch holds the `kept` columns first, then columns that are inputs only. `names` says where in the batch each of
    the model's columns is; the batch's own names do not count, because pyspark cannot send names with dots.
    `reason` is the column that says why a row is bad where Spark has found that out already; answers then end with the
    scorer's own reasons. `further` makes other columns of the answers.
    """

    shipment: Shipment
    options: tuple[tuple[str, Any], ...]
    provider: str
    kept: tuple[str, ...]
    names: tuple[Place, ...]
    reason: int | None = None
    further: Further | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield kept columns and answers, batch by batch."""
        scorer = self.scorer()
        for batch in batches:
            yield self.answer(scorer, batch)

    def scorer(self) -> Scorer:
        """Return this worker's scorer, opened by the first task that needs it."""
        from synml_dagster.onnx.scorer import Scorer

        threads, gpu = task_resources()
        key = (self.shipment.digest, self.options, self.provider, threads, gpu)
        found = _SCORERS.get(key)
        if found is None:
            while len(_SCORERS) >= _MOST_SCORERS:
                _SCORERS.pop(next(iter(_SCORERS)))
            options = {name: _thaw(value) for name, value in self.options}
            found = Scorer(self.shipment.open(), threads=threads, gpu=gpu, provider=self.provider, **options)
            _SCORERS[key] = found
        return found

    def answered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the kept columns of `batch` and its answers, by this process's scorer."""
        return self.answer(self.scorer(), batch)

    def answer(self, scorer: Scorer, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the kept columns of `batch` and its answers."""
        import pyarrow as pa

        given = pa.RecordBatch.from_arrays(
            _placed(batch, self.names), names=[place.name for place in self.names]
        )
        answers = scorer.score(given) if self.names else scorer.score(batch)
        if self.further is not None:
            answers = self.further(given, answers)
        columns = [batch.column(i) for i in range(len(self.kept))]
        answered = answers.columns
        if self.reason is not None:
            answered = _blanked(answered, batch.column(self.reason))
        return pa.RecordBatch.from_arrays([*columns, *answered], names=[*self.kept, *answers.schema.names])


@dataclass(frozen=True)
class ScoreMaker:
    """Makes scored rows of a table's rows, for tasks that write them by themselves."""

    score: ScoreTask
    constants: tuple[Any, ...]
    schema: bytes
    """The Arrow schema that Spark expects of the kept columns, the answers and the constants, serialized."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return kept columns, answers and constants."""
        import pyarrow as pa

        from synml_dagster.files.file_splits import conform

        schema = pa.ipc.read_schema(pa.py_buffer(self.schema))
        answered = self.score.answer(self.score.scorer(), batch)
        types = schema.types[len(answered.columns) :]
        more = [
            pa.repeat(pa.scalar(value, kind), batch.num_rows)
            for value, kind in zip(self.constants, types, strict=True)
        ]
        return conform(pa.RecordBatch.from_arrays([*answered.columns, *more], schema.names), schema)


def task_resources() -> tuple[int, int | None]:
    """Return the cores of the task that runs here and the number of the GPU it was given, if any."""
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        return 1, None
    gpus = context.resources().get("gpu")
    first = gpus.addresses[0] if gpus and gpus.addresses else None
    return context.cpus() or 1, int(first) if first is not None and str(first).isdigit() else None


def _placed(batch: pa.RecordBatch, places: Sequence[Place]) -> list[pa.Array]:
    """Return the columns at `places`; those that came as lists are taken apart."""
    import numpy as np
    import pyarrow as pa

    widths = Counter(place.column for place in places if place.value is not None)
    flat = {i: batch.column(i).flatten() for i in widths}
    columns = []
    for place in places:
        if place.value is None:
            columns.append(batch.column(place.column))
            continue
        values, width = flat[place.column], widths[place.column]
        if values.null_count:
            columns.append(values.take(pa.array(np.arange(place.value, len(values), width))))
        else:
            columns.append(pa.array(np.ascontiguousarray(values.to_numpy()[place.value :: width])))
    return columns


def _blanked(answers: list[pa.Array], reason: pa.Array) -> list[pa.Array]:
    """Blank the answers of rows that have a `reason`; the last column of `answers` is the scorer's own reasons."""
    import pyarrow as pa
    import pyarrow.compute as pc

    good = reason.is_null()
    *columns, own = answers
    return [
        *(pc.if_else(good, column, pa.scalar(None, column.type)) for column in columns),
        pc.coalesce(reason.cast(own.type), own),
    ]


def freeze(value: Any) -> Any:
    """Return an option of `Scorer` as something that can be a key."""
    if isinstance(value, dict):
        return ("dict", tuple((k, freeze(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(freeze(v) for v in value))
    return value


def _thaw(value: Any) -> Any:
    if isinstance(value, tuple) and value and value[0] == "dict":
        return {k: _thaw(v) for k, v in value[1]}
    if isinstance(value, tuple) and value and value[0] == "list":
        return [_thaw(v) for v in value[1]]
    return value
