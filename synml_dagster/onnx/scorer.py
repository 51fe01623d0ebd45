"""`Scorer`: one opened model that turns batches of rows into batches of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, DataError, ModelError, did_you_mean
from synml_dagster.onnx.binding import Binding, bind, check_columns, column_at, fill
from synml_dagster.onnx.forest import ForestSession, open_forest
from synml_dagster.onnx.model import OnnxModel, TensorInfo
from synml_dagster.onnx.outputs import ANSWERED, RAW_SCORE, Result, graph_results, pipeline_results
from synml_dagster.onnx.runtime import choose_providers, open_session
from synml_dagster.onnx.tensors import Reasons, text_values
from synml_dagster.onnx.text_parts import split_columns

if TYPE_CHECKING:
    import onnx
    import pyarrow as pa

REASON = "bad_row"
"""The column that says why a row could not be scored, null where it was."""

ANSWERS = (*ANSWERED, RAW_SCORE)
"""What pipelines of this package can be asked for, as far as they have it."""

_MANY_ROWS = 4096
"""Rows of a batch from which on tables of the trees are faster than the walk, once they are made."""

_ROWS_THAT_REPAY = 32_768
"""Rows after which tables have saved the time that it takes to make them, however many trees there are."""


def answers_of(model: OnnxModel) -> tuple[str, ...]:
    """Return what a pipeline of this package can be asked for; of a plan alone, the features that its graph makes."""
    if RAW_SCORE not in model.roles:
        return tuple(out.name for out in model.outputs)
    return (*(result.name for result in pipeline_results(model, None)), RAW_SCORE)


class Scorer:
    """Scores rows with one ONNX Runtime session, without Spark.

    Missing numbers are null or NaN, missing text is null or "". Rows that do not fit (text that is no number, a whole
    number out of its range, an array of another length) are an error, or are marked and left without a prediction.

    Parameters
    ----------
    model
        The model, or where its file is.
    threads
        Cores that this scorer may use.
    provider
        `auto`, `cpu`, `cuda`, ...; see `synml_dagster.onnx.runtime.PROVIDERS`. `auto` takes `gpu` where there is one.
    gpu
        The number of the GPU to use.
    outputs
        The columns wanted. Of a model of this package: `prediction`, `probability`, `raw_score` (the first two when
        None), and of one with a table of costs `decision` and `expected_cost` (both when None). Of any other: names of its outputs, or of tensors inside it; all its outputs when None.
    inputs
        Column, or list of columns side by side, per input of the graph, where their names differ.
    softmax, argmax
        New column -> output that it is computed from.
    bad_rows
        `raise`, or `mark`: a column `bad_row` holds the reason, null where the row was scored.
    trees
        How a pipeline's trees are walked on the CPU: `tables` by tables of leaf masks where the trees suit them,
        `onnxruntime` by the graph as it is, `auto` by tables in batches of 4,096 rows and more, after some 30,000 rows.
        The answers are the same.

    Raises
    ------
    ModelError
        The file is damaged or not for this runtime, or an input or output is not in it.
    SetupError
        The device that was asked for is not there.

    Examples
    --------
    >>> scorer = Scorer("bundle")  # doctest: +SKIP
    >>> scorer.score_row({"age": 39, "city": "Ghent"})  # doctest: +SKIP
    {'prediction': '<=50K', 'probability': 0.04}
    """

    def __init__(
        self,
        model: OnnxModel | str | Path,
        *,
        threads: int = 1,
        provider: str = "auto",
        gpu: int | None = None,
        outputs: Sequence[str] | None = None,
        inputs: Mapping[str, str | Sequence[str]] | None = None,
        softmax: Mapping[str, str] | None = None,
        argmax: Mapping[str, str] | None = None,
        bad_rows: str = "raise",
        trees: str = "auto",
    ) -> None:
        if bad_rows not in ("raise", "mark"):
            raise ConfigError(f"bad_rows is 'raise' or 'mark' but got {bad_rows!r}.")
        if trees not in ("auto", "tables", "onnxruntime"):
            raise ConfigError(f"trees is 'auto', 'tables' or 'onnxruntime' but got {trees!r}.")
        self.model = model if isinstance(model, OnnxModel) else OnnxModel.load(model)
        self.bindings = bind(self.model, inputs)
        self._marks = bad_rows == "mark"
        self._results = self._plan_results(outputs, softmax, argmax)
        self._fetched = list(dict.fromkeys(result.output for result in self._results))
        providers = choose_providers(provider, gpu)
        self._threads = threads
        self._rows_for_tables = {"auto": _MANY_ROWS, "tables": 1, "onnxruntime": None}[trees]
        self._rows_before_tables = _ROWS_THAT_REPAY if trees == "auto" else 0
        self._open(threads, providers, strict=provider not in ("auto", "cpu"))

    @property
    def columns(self) -> list[str]:
        """The top-level columns that a table needs."""
        return list(dict.fromkeys(path[0] for binding in self.bindings for path in binding.columns))

    @property
    def schema(self) -> pa.Schema:
        """What `score` answers."""
        import pyarrow as pa

        fields = [pa.field(result.name, result.type) for result in self._results]
        return pa.schema([*fields, pa.field(REASON, pa.string())] if self._marks else fields)

    def score(self, rows: Any) -> pa.RecordBatch:
        """Return one row of answers per row.

        Parameters
        ----------
        rows
            A pyarrow RecordBatch or Table, a mapping of column to array, or a pandas DataFrame. Columns that the
            model does not take are passed over.

        Raises
        ------
        DataError
            A column is missing or of a type that cannot be used, or a row does not fit and rows are not marked.
        """
        import pyarrow as pa

        batch = as_batch(rows)
        check_columns(self.bindings, batch.schema.names)
        if batch.num_rows == 0:
            return pa.RecordBatch.from_pylist([], schema=self.schema)
        reasons = Reasons({})
        answers = self._run(self._feed(batch, reasons), batch.num_rows)
        if reasons.by_row and not self._marks:
            row, reason = min(reasons.by_row.items())
            raise DataError(
                f"{len(reasons.by_row)} of {batch.num_rows} rows cannot be scored; in the first, row {row}, {reason}. Score with bad_rows='mark' to set them aside."
            )
        columns = [result.values(answers[result.output]) for result in self._results]
        if self._marks:
            columns = _without(columns, reasons, batch.num_rows)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def score_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Score one row, given and answered as a dictionary."""
        return self.score({name: [value] for name, value in row.items()}).to_pylist()[0]

    def _plan_results(
        self,
        outputs: Sequence[str] | None,
        softmax: Mapping[str, str] | None,
        argmax: Mapping[str, str] | None,
    ) -> list[Result]:
        self._added: list[str] = []
        derived = [*(softmax or {}).values(), *(argmax or {}).values()]
        if self.model.is_pipeline:
            inner = [name for name in outputs or () if name not in ANSWERS]
            named = None if outputs is None else [name for name in outputs if name in ANSWERS]
            found = [] if named == [] else pipeline_results(self.model, named)
            return [*found, *graph_results(self._tensors(inner, derived), softmax, argmax)]
        wanted = [out.name for out in self.model.outputs] if outputs is None else list(outputs)
        return graph_results(self._tensors(wanted, derived), softmax, argmax)

    def _tensors(self, wanted: Sequence[str], derived: Sequence[str]) -> list[TensorInfo]:
        """Look outputs up, making outputs of tensors inside the graph where they are asked for."""
        known = {out.name: out for out in self.model.outputs}
        inside = {name for node in self.model.proto.graph.node for name in node.output if name}
        for name in [*wanted, *derived]:
            if name not in known and name not in inside:
                answers = answers_of(self.model) if self.model.is_pipeline else tuple(known)
                raise ModelError(
                    f"outputs: the graph has no tensor {name!r}; it answers {', '.join(map(repr, answers))}.{did_you_mean(name, [*answers, *known, *inside])}"
                )
        self._added = [name for name in dict.fromkeys([*wanted, *derived]) if name not in known]
        if self._added:
            known |= self._inner_infos()
        return [known[name] for name in wanted]

    def _inner_infos(self) -> dict[str, TensorInfo]:
        session = open_session(
            self._source(self._with_added()), threads=1, providers=["CPUExecutionProvider"]
        )
        return {
            out.name: TensorInfo(
                out.name, out.type.removeprefix("tensor(").removesuffix(")"), _sizes(out.shape)
            )
            for out in session.get_outputs()
            if out.name in self._added
        }

    def _with_added(self) -> onnx.ModelProto:
        """Return the graph with the tensors inside it that are wanted as outputs."""
        if not self._added:
            return self.model.proto
        import onnx
        from onnx import helper

        copy = onnx.ModelProto()
        copy.CopyFrom(self.model.proto)
        copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in self._added)
        return copy

    def _source(self, graph: Any) -> bytes | str:
        """What a session opens: the file itself where its weights lie beside it."""
        if not self.model.external_files:
            return graph.SerializeToString()
        if self._added:
            raise ModelError(
                f"outputs: {self._added[0]!r} is inside a graph whose weights are in files of their own; make it an output of the graph first."
            )
        return str(self.model.path)

    def _open(self, threads: int, providers: list[Any], strict: bool) -> None:
        graph = self._with_added()
        self._parts: list[tuple[Binding, list[str], Any]] = []
        whole = {binding.info.name: binding for binding in self.bindings}
        if self.model.is_pipeline and not self.model.external_files:
            cut = {name for name, binding in whole.items() if _repeats(binding)}
            parts, graph = split_columns(graph, cut)
            cpu = ["CPUExecutionProvider"]
            for part in parts:
                session = open_session(part.model.SerializeToString(), threads=1, providers=cpu)
                self._parts.append((whole.pop(part.input), list(part.outputs), session))
        self._direct = list(whole.values())
        self.session = open_session(self._source(graph), threads=threads, providers=providers, strict=strict)
        sizes = {b.info.shape[0] for b in self._direct if b.info.shape and b.info.shape[0] is not None}
        self._batch_size = min(sizes) if sizes else None
        if len(providers) > 1 or not self.model.is_pipeline or self.model.external_files or self._batch_size:
            self._rows_for_tables = None
        self._uncut = graph if self._rows_for_tables else None

    @property
    def has_tables(self) -> bool:
        """Whether batches that are large enough are scored by tables of the trees' leaf masks."""
        return self._rows_for_tables is not None and self._forest is not None

    @cached_property
    def _forest(self) -> ForestSession | None:
        return open_forest(self._uncut, self._fetched, self._threads)

    def _session_for(self, rows: int) -> Any:
        """Return what runs a batch of so many rows; a service that scores single rows never makes tables."""
        if self._rows_for_tables is None or rows < self._rows_for_tables:
            return self.session
        self._rows_before_tables -= rows
        if self._rows_before_tables > 0:
            return self.session
        return self._forest or self.session

    def _feed(self, batch: pa.RecordBatch, reasons: Reasons) -> dict[str, np.ndarray]:
        feed = {b.info.name: fill(b, batch, reasons, strict=not self._marks) for b in self._direct}
        for binding, outputs, session in self._parts:
            values, places = _distinct(
                column_at(batch, binding.columns[0]), binding, reasons, not self._marks
            )
            answers = session.run(outputs, {binding.info.name: values})
            for name, answer in zip(outputs, answers, strict=True):
                feed[name] = answer if places is None else answer.take(places, axis=0)
        return feed

    def _run(self, feed: dict[str, np.ndarray], rows: int) -> dict[str, Any]:
        try:
            if self._batch_size is None or self._batch_size == rows:
                return dict(zip(self._fetched, self._session_for(rows).run(self._fetched, feed), strict=True))
            return self._run_in_steps(feed, rows, self._batch_size)
        except Exception as problem:
            told = " ".join(str(problem).split())
            raise ModelError(
                f"ONNX Runtime could not run the model on this table: {told[:400]} The graph takes "
                f"{', '.join(f'{b.info.name} ({b.info.type} {list(b.info.shape or ())})' for b in self.bindings[:8])}."
            ) from problem

    def _run_in_steps(self, feed: dict[str, np.ndarray], rows: int, size: int) -> dict[str, Any]:
        """A graph whose batch size is fixed gets so many rows at a time; the last step repeats its last row."""
        pieces: list[list[Any]] = []
        for start in range(0, rows, size):
            places = np.minimum(np.arange(start, start + size), rows - 1)
            pieces.append(
                self.session.run(self._fetched, {name: values[places] for name, values in feed.items()})
            )
        joined: dict[str, Any] = {}
        for i, name in enumerate(self._fetched):
            first = pieces[0][i]
            if isinstance(first, list):
                joined[name] = [row for piece in pieces for row in piece[i]][:rows]
            else:
                joined[name] = np.concatenate([piece[i] for piece in pieces])[:rows]
        return joined


def as_batch(rows: Any) -> pa.RecordBatch:
    """Return rows of any of the forms that `Scorer.score` takes as one RecordBatch."""
    import pyarrow as pa

    if isinstance(rows, pa.RecordBatch):
        return rows
    if isinstance(rows, Mapping):
        return pa.RecordBatch.from_arrays([_array(values) for values in rows.values()], names=list(rows))
    if not isinstance(rows, pa.Table):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    batches = rows.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema)


def _array(values: Any) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray) and values.ndim > 1:
        flat = values.reshape(len(values), -1)
        return (
            pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
            if flat.shape[1] > 1
            else pa.array(flat[:, 0])
        )
    return pa.array(values)


def _repeats(binding: Binding) -> bool:
    """Whether a column's values are worth collecting before the graph works on them: text is."""
    return binding.info.type == "string" and len(binding.columns) == 1 and binding.info.width == 1


def _distinct(
    column: pa.Array, binding: Binding, reasons: Reasons, strict: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the column's distinct values as a tensor, and each row's place among them; None where they are the rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name = ".".join(binding.columns[0])
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        if column.null_count and pa.types.is_string(column.type):
            column = pc.fill_null(column, "")
        column = column.dictionary_encode(null_encoding="encode")
    values = text_values(column.dictionary, name)
    places = column.indices
    if places.null_count:  # a dictionary column that came as one keeps its nulls in the indices
        values = np.append(values, "")
        places = pc.fill_null(places.cast(pa.int32()), len(values) - 1)
    return values.astype(object).reshape(-1, 1), places.to_numpy(zero_copy_only=False)


def _without(columns: list[pa.Array], reasons: Reasons, rows: int) -> list[pa.Array]:
    """Blank the answers of bad rows and add the column of reasons."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not reasons.by_row:
        return [*columns, pa.nulls(rows, pa.string())]
    good = np.ones(rows, dtype=np.bool_)
    good[list(reasons.by_row)] = False
    keep = pa.array(good)
    blanked = [pc.if_else(keep, column, pa.scalar(None, column.type)) for column in columns]
    told = pa.array([reasons.by_row.get(i) for i in range(rows)], pa.string())
    return [*blanked, told]


def _sizes(shape: Sequence[Any] | None) -> tuple[int | None, ...] | None:
    return None if shape is None else tuple(size if isinstance(size, int) else None for size in shape)
