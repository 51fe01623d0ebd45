"""What is explained: any model as a function from a batch of rows to numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, ModelError, SynmlError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from synml_dagster.onnx.worker import Shipment

Takes = Literal["arrow", "pandas"]


@dataclass(frozen=True)
class Scored:
    """A model that tasks can open: an ONNX graph on its way to them, or a function that goes along.

    Attributes
    ----------
    graph
        How the graph comes to a worker; None for a function.
    function, takes
        A function of a pyarrow RecordBatch or a pandas DataFrame that returns [rows] or [rows, outputs].
    output
        The column of the scorer's answers that is explained.
    columns
        What the model reads; None where a function does not say.
    """

    graph: Shipment | None = None
    function: Callable[[Any], Any] | None = None
    takes: Takes = "arrow"
    output: str = ""
    columns: tuple[str, ...] | None = None

    def open(self) -> Callable[[pa.RecordBatch], NDArray[np.float64]]:
        """Return the model as a function of batches; a graph's session is opened once a process."""
        if self.graph is not None:
            return opened(self.graph, self.output)
        assert self.function is not None
        return _Function(self.function, self.takes)


@dataclass(frozen=True)
class _Function:
    """A user's function of rows, whose faults are told in one sentence wherever it runs."""

    function: Callable[[Any], Any]
    takes: Takes

    def __call__(self, batch: pa.RecordBatch) -> NDArray[np.float64]:
        """Return its scores, float64 [rows] or [rows, outputs].

        Raises
        ------
        ModelError
            It failed, or answered no numbers.
        DataError
            It answered another number of rows than it was asked.
        """
        rows = _plain(batch)
        try:
            answered = self.function(rows if self.takes == "arrow" else rows.to_pandas())
        except SynmlError:
            raise
        except Exception as problem:
            told = " ".join(str(problem).split())[:300]
            raise ModelError(
                f"The model's function failed on {batch.num_rows} rows: {type(problem).__name__}: {told}"
            ) from problem
        try:
            found = np.asarray(answered, dtype=np.float64)
        except (TypeError, ValueError) as problem:
            raise ModelError(
                f"The model's function must return numbers, one row of scores for each: {' '.join(str(problem).split())[:300]}"
            ) from problem
        if found.shape[:1] != (batch.num_rows,):
            raise DataError(
                f"The model answered {found.shape[0] if found.ndim else 'one value'} rows where it was asked {batch.num_rows}: its function must return one row of scores for each."
            )
        return found


def scored(
    model: Any, *, output: str | None = None, takes: Takes = "arrow", spark: SparkSession | None = None
) -> Scored:
    """Return a model as something that tasks can open.

    Parameters
    ----------
    model
        An `OnnxModel`, a graph's file or bundle, or a Python function of batches.
    output
        Of a graph: the answer to explain. `raw_score`, `probability` or `prediction` of a pipeline of this package, the
        probability (else the prediction) when None; an output's name of any other, the first that holds numbers when
        None.
    takes
        What a function is given.
    spark
        The session by which a graph is sent to tasks; None where it stays in this process.

    Raises
    ------
    ConfigError
        A function is asked for an output, or `takes` is unknown.
    ModelError
        The graph has no such output, or none of numbers.
    """
    from synml_dagster.onnx import OnnxModel
    from synml_dagster.onnx.worker import Shipment

    if takes not in ("arrow", "pandas"):
        raise ConfigError(
            f"takes is 'arrow' or 'pandas' but got {takes!r}.{did_you_mean(takes, ['arrow', 'pandas'])}"
        )
    if callable(model) and not isinstance(model, OnnxModel):
        if output is not None:
            raise ConfigError(
                "output names an answer of a graph; a function returns what is to be explained."
            )
        return Scored(function=model, takes=takes)
    graph = model if isinstance(model, OnnxModel) else OnnxModel.load(Path(model))
    chosen, columns = _output(graph, output)
    if spark is not None:
        from synml_dagster.onnx.shipping import ship

        return Scored(graph=ship(spark, graph), output=chosen, columns=columns)
    content = graph.content if not graph.external_files else None
    path = None if content is not None else str(graph.path)
    return Scored(Shipment(graph.digest, content, path), output=chosen, columns=columns)


def _output(graph: Any, output: str | None) -> tuple[str, tuple[str, ...]]:
    from synml_dagster.onnx import Scorer
    from synml_dagster.onnx.scorer import answers_of

    wanted = [output] if output is not None else None
    if graph.is_pipeline and output is not None and output not in (known := answers_of(graph)):
        raise ModelError(
            f"output: the model has no answer {output!r}, but {', '.join(known)}.{did_you_mean(output, known)}"
        )
    scorer = Scorer(graph, outputs=wanted, provider="cpu")
    names = [f.name for f in scorer.schema if _numbers(f.type)]
    if not names:
        kinds = ", ".join(f"{f.name} ({f.type})" for f in scorer.schema)
        raise ModelError(f"output: the model answers no numbers that could be explained, but {kinds}.")
    first = "probability" if graph.is_pipeline and "probability" in names else names[0]
    return first, tuple(scorer.columns)


def _numbers(kind: pa.DataType) -> bool:
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) else kind
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner))


@lru_cache(maxsize=4)
def opened(graph: Shipment, output: str) -> Callable[[pa.RecordBatch], NDArray[np.float64]]:
    """Return an answer of a graph as a function of batches, [rows, outputs]; it is opened once a process."""
    from synml_dagster.onnx import Scorer
    from synml_dagster.onnx.worker import task_resources

    threads, _ = task_resources()
    scorer = Scorer(graph.open(), outputs=[output], threads=threads, provider="cpu")
    return lambda batch: rows_of_numbers(scorer.score(batch).column(0))


def rows_of_numbers(column: pa.Array, kind: type = np.float64) -> NDArray[Any]:
    """Return a column of numbers, or of lists of as many numbers each, as [rows, numbers] of a NumPy type."""
    import pyarrow as pa

    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=kind).reshape(len(column), -1)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=kind)[:, None]


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A function of users' own gets words as words and not as a dictionary of them."""
    import pyarrow as pa

    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def needed(model: Scored, there: Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """Return the columns of a table that a model is given: those that it reads, or all where it does not say.

    Raises
    ------
    ConfigError
        One is not there.
    """
    wanted = list(there) if model.columns is None else list(model.columns)
    for name in [*wanted, *also]:
        if name not in there:
            raise ConfigError(f"The rows to explain have no column {name!r}.{did_you_mean(name, there)}")
    return [*wanted, *(name for name in also if name not in wanted)]
