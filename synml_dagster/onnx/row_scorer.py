"""`RowScorer`: few rows of a pipeline, given as Python values, scored in one call of ONNX Runtime.

`Scorer` is made for batches: it encodes text columns as dictionaries and runs the graph in parts. For one row that is some
twenty times what the graph itself takes. This one fills the inputs of the whole graph from Python values and runs it once.
The nodes, and the order in which one thread adds up the trees, are the same, so that the answers are, too, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.columns.values import Reader, UnreadValueError, value_reader
from synml_dagster.errors import DataError, ModelError
from synml_dagster.onnx.binding import planned_columns
from synml_dagster.onnx.model import OnnxModel
from synml_dagster.onnx.outputs import pipeline_results
from synml_dagster.onnx.runtime import open_session

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_MOST_REASONS = 5


@dataclass(frozen=True)
class ReadRows:
    """Rows that are ready for the graph.

    Attributes
    ----------
    rows
        How many.
    columns
        For each input of the graph, in its order, the values of all rows.
    absent
        The columns that the model takes and the rows do not have: they are missing in all of them.
    """

    rows: int
    columns: tuple[list[Any], ...]
    absent: tuple[str, ...] = ()


class RowScorer:
    """Scores rows of Python values by a pipeline of this package.

    Parameters
    ----------
    model
        The model, or where its file is.

    Raises
    ------
    ModelError
        The file is damaged, not for this runtime, or no pipeline that this package exported.

    Examples
    --------
    >>> scorer = RowScorer("bundle")  # doctest: +SKIP
    >>> scorer.score(scorer.read({"age": [39], "city": ["Ghent"]}, 1))  # doctest: +SKIP
    {'prediction': ['<=50K'], 'probability': [0.04]}
    """

    def __init__(self, model: OnnxModel | str | Path) -> None:
        self.model = model if isinstance(model, OnnxModel) else OnnxModel.load(model)
        planned = planned_columns(self.model)
        if planned is None:
            raise ModelError(f"{self.model!r} is no pipeline of this package; score its rows with Scorer.")
        by_name = {raw.name: raw for raw in planned}
        self._inputs = self.model.inputs
        self._raw = [by_name[info.name] for info in self._inputs]
        self._readers: list[Reader] = [value_reader(raw) for raw in self._raw]
        self._results = pipeline_results(self.model, None)
        self._fetched = list(dict.fromkeys(result.output for result in self._results))
        source = str(self.model.path) if self.model.external_files else self.model.content
        self._session = open_session(source, threads=1, providers=["CPUExecutionProvider"])

    @property
    def columns(self) -> list[str]:
        """The columns that the model takes; one inside a struct by its path with dots."""
        return [raw.name for raw in self._raw]

    @property
    def known(self) -> set[str]:
        """All names under which rows may have these columns, those of structs among them."""
        return {name for raw in self._raw for name in (raw.name, raw.path[0])}

    @property
    def times(self) -> set[str]:
        """The columns of dates and moments, which rows may have as text."""
        return {raw.name for raw in self._raw if raw.storage in ("date", "timestamp")}

    @property
    def schema(self) -> pa.Schema:
        """What `score` answers, as Arrow has it."""
        import pyarrow as pa

        return pa.schema([pa.field(result.name, result.type) for result in self._results])

    def read(self, values: Mapping[str, Sequence[Any]], rows: int) -> ReadRows:
        """Return rows of Python values as the graph takes them.

        Parameters
        ----------
        values
            Column to the values of all rows. Columns that the model does not take are passed over, and one that is not there is
            missing in all rows.
        rows
            How many rows each column has.

        Raises
        ------
        DataError
            Values that their columns cannot hold; the message names the first few with their rows, counted from 0.
        """
        columns, absent, bad = [], [], []
        for raw, reader in zip(self._raw, self._readers, strict=True):
            given = values.get(raw.name)
            if given is None and len(raw.path) > 1:
                given = _inside(values, raw.path)
            if given is None:
                absent.append(raw.name)
                given = [None] * rows
            try:
                columns.append([reader(value) for value in given])
            except UnreadValueError:
                bad += _reasons(raw.name, reader, given)
        if bad:
            told = "; ".join(f"row {row}: {name!r} {why}" for row, name, why in sorted(bad)[:_MOST_REASONS])
            raise DataError(f"{told}{f'; and {len(bad) - _MOST_REASONS} more' * (len(bad) > _MOST_REASONS)}.")
        return ReadRows(rows, tuple(columns), tuple(absent))

    def score(self, rows: ReadRows) -> dict[str, list[Any]]:
        """Return `prediction`, and of classes `probability`, of all rows.

        Raises
        ------
        ModelError
            ONNX Runtime cannot run the graph.
        """
        feed = {
            info.name: _tensor(values, info.type, raw.width)
            for info, raw, values in zip(self._inputs, self._raw, rows.columns, strict=True)
        }
        try:
            found = dict(zip(self._fetched, self._session.run(self._fetched, feed), strict=True))
        except Exception as problem:
            told = " ".join(str(problem).split())
            raise ModelError(f"ONNX Runtime could not run the model: {told[:400]}") from problem
        return {result.name: result.listed(found[result.output]) for result in self._results}


def joined(parts: Sequence[ReadRows]) -> ReadRows:
    """Return the rows of several parts, read by one scorer, one after the other."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.columns for part in parts), strict=True)
    return ReadRows(sum(part.rows for part in parts), tuple(list(chain.from_iterable(c)) for c in columns))


def _tensor(values: list[Any], kind: str, width: int) -> NDArray[Any]:
    if kind == "string":
        return np.array(values, dtype=object).reshape(-1, 1)
    # By way of a double, as Arrow and Spark have it: a whole number is rounded twice, or not at all.
    found = np.array(values, dtype=np.float64).reshape(-1, width)
    if kind == "double":
        return found
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def _inside(values: Mapping[str, Sequence[Any]], path: Sequence[str]) -> list[Any] | None:
    """The field at `path` of structs; None where no row has the struct."""
    outer = values.get(path[0])
    if outer is None:
        return None
    found: list[Any] = list(outer)
    for step in path[1:]:
        found = [one.get(step) if isinstance(one, Mapping) else None for one in found]
    return found


def _reasons(name: str, reader: Reader, values: Sequence[Any]) -> list[tuple[int, str, str]]:
    bad = []
    for row, value in enumerate(values):
        try:
            reader(value)
        except UnreadValueError as problem:
            bad.append((row, name, str(problem)))
    return bad
