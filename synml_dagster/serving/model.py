"""`ServedModel`: one version of a model, opened, with the rows that it takes and the answers that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.onnx import OnnxModel, ReadRows, RowScorer, Scorer
from synml_dagster.onnx.row_scorer import joined
from synml_dagster.serving.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

_TENSORS = {
    "string": "BYTES", "bool": "BOOL", "float": "FP32", "double": "FP64", "halffloat": "FP16",
    **{f"{sign}int{bits}": f"{sign}INT{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version of a model that answers requests. It never changes: a new version is another object.

    Parameters
    ----------
    name, version
        What its answers are marked with.
    onnx
        The graph: a pipeline of this package, or any other.
    """

    name: str
    version: str
    onnx: OnnxModel
    _rows: RowScorer | None = field(init=False)
    _graph: Scorer | None = field(init=False)
    _known: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        pipeline = self.onnx.is_pipeline and "raw_inputs" in self.onnx.metadata
        rows = RowScorer(self.onnx) if pipeline else None
        graph = None if pipeline else Scorer(self.onnx)
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_graph", graph)
        known = rows.known if rows is not None else set(self.columns)
        object.__setattr__(self, "_known", frozenset(known))
        if rows is not None and _takes_nothing(rows):
            rows.score(
                rows.read({}, 1)
            )  # the first run takes longer, and shows whether the graph runs at all

    @property
    def columns(self) -> list[str]:
        """The columns that it takes."""
        if self._rows is not None:
            return self._rows.columns
        assert self._graph is not None
        return self._graph.columns

    @property
    def only(self) -> str | None:
        """Its column where it takes but one."""
        return self.columns[0] if len(self.columns) == 1 else None

    @property
    def schema(self) -> pa.Schema:
        """What it answers."""
        found = self._rows or self._graph
        assert found is not None
        return found.schema

    @property
    def batches(self) -> bool:
        """Whether rows of several requests may be scored together: a foreign graph does not promise that each row is alone."""
        return self._rows is not None

    def read(self, rows: Rows, require_columns: bool = False) -> ReadRows:
        """Return the rows of a request as the model takes them.

        Raises
        ------
        DataError
            A value does not fit its column, or columns are named that look like misspelt ones, or none is known.
        """
        self._check_names(rows.columns, require_columns)
        if self._rows is not None:
            return self._rows.read(rows.columns, rows.count)
        columns = tuple(list(rows.columns[name]) for name in self.columns)
        return ReadRows(rows.count, columns)

    def score(self, rows: ReadRows) -> dict[str, list[Any]]:
        """Return the answers, each a list with one value for each row."""
        if self._rows is not None:
            return self._rows.score(rows)
        import pyarrow as pa

        arrays = {}
        for name, values in zip(self.columns, rows.columns, strict=True):
            try:
                arrays[name] = pa.array(values)
            except (
                pa.ArrowInvalid,
                pa.ArrowTypeError,
                pa.ArrowNotImplementedError,
                OverflowError,
            ) as problem:
                told = next(iter(str(problem).splitlines()), "")
                raise DataError(
                    f"{name!r} holds values of different types, or of one that no tensor has: {told[:200]}"
                ) from None
        assert self._graph is not None
        answers = self._graph.score(arrays)
        return {
            name: [_plain(v) for v in column.to_pylist()]
            for name, column in zip(answers.schema.names, answers.columns, strict=True)
        }

    def score_all(self, parts: Sequence[ReadRows]) -> list[dict[str, list[Any]]]:
        """Return the answers of several requests, scored together; by a foreign graph one by one."""
        if not self.batches:
            return [self.score(part) for part in parts]
        answers = self.score(joined(parts))
        if len(parts) == 1:
            return [answers]
        out, start = [], 0
        for part in parts:
            end = start + part.rows
            out.append({name: values[start:end] for name, values in answers.items()})
            start = end
        return out

    def answer_types(self) -> dict[str, str]:
        """Return the answers by name with the datatypes of the Open Inference Protocol."""
        return {item.name: _tensor_type(item.type) for item in self.schema}

    def describe(self) -> dict[str, Any]:
        """Return its inputs and outputs as the Open Inference Protocol has them."""
        types = self._input_types()
        inputs = [{"name": n, "datatype": t, "shape": shape} for n, (t, shape) in types.items()]
        outputs = []
        for item in self.schema:
            wide = _is_list(item.type)
            outputs.append(
                {"name": item.name, "datatype": _tensor_type(item.type), "shape": [-1, -1] if wide else [-1]}
            )
        return {"inputs": inputs, "outputs": outputs}

    def _input_types(self) -> dict[str, tuple[str, list[int]]]:
        found: dict[str, tuple[str, list[int]]] = {}
        times = self._rows.times if self._rows is not None else set()
        for info in self.onnx.inputs:
            kind = (
                "BYTES"
                if info.name in times
                else _TENSORS.get(info.type.replace("float16", "halffloat"), info.type)
            )
            width = info.width
            found[info.name] = (kind, [-1] if width == 1 else [-1, width or -1])
        return found

    def _check_names(self, given: Any, require_columns: bool) -> None:
        absent = [name for name in self.columns if name not in given and name.split(".")[0] not in given]
        if not absent:
            return
        if require_columns or not self.batches or len(absent) == len(self.columns):
            listed = ", ".join(map(repr, absent[:10])) + " ..." * (len(absent) > 10)
            raise DataError(
                f"The rows lack {len(absent)} column{'s' * (len(absent) > 1)} that the model takes: {listed}.{did_you_mean(absent[0], given)}"
            )
        for name in given:
            if name not in self._known and (meant := did_you_mean(name, absent)):
                raise DataError(
                    f"The model has no column {name!r}, and the rows lack {len(absent)} that it takes.{meant}"
                )


def _takes_nothing(rows: RowScorer) -> bool:
    """Whether a row of missing values can be read: a list of numbers cannot be missing."""
    try:
        rows.read({}, 1)
    except DataError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A map of probabilities, which Arrow hands out as pairs, as an object."""
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return {str(key): one for key, one in value}
    return value


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_list(kind)


def _tensor_type(kind: pa.DataType) -> str:
    if _is_list(kind):
        kind = kind.value_type
    return _TENSORS.get(str(kind), "BYTES")
