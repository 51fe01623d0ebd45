"""What a graph answers as columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.onnx.tensors import NUMPY

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.onnx.model import OnnxModel, TensorInfo

PREDICTION, PROBABILITY, RAW_SCORE = "prediction", "probability", "raw_score"
DECISION, EXPECTED_COST = "decision", "expected_cost"
ANSWERED = (PREDICTION, PROBABILITY, DECISION, EXPECTED_COST)
"""What a pipeline of this package answers by itself, as far as it has it."""
_WHOLE = {"tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64", "int64": "int64"}


@dataclass(frozen=True)
class Result:
    """A column of the answer: the graph's output it comes from, its Arrow type, and how its values are made.

    `plain` makes the list of Python values that `values(...).to_pylist()` is, past Arrow: for a row or two that is what takes time.
    """

    name: str
    output: str
    type: pa.DataType
    values: Callable[[Any], pa.Array]
    plain: Callable[[Any], list[Any]] | None = None

    def listed(self, answer: Any) -> list[Any]:
        """Return the column of an answer as Python values."""
        return self.values(answer).to_pylist() if self.plain is None else self.plain(answer)


def pipeline_results(model: OnnxModel, wanted: Sequence[str] | None) -> list[Result]:
    """Return the columns of a model of this package: `prediction`, `probability`, and on request `raw_score`.

    A model that was exported with a table of costs also answers `decision`, a class, and its `expected_cost`.

    `prediction` is the class with the type it has in the user's table, or a double. `probability` is that of the
    second of two classes, or an array over all classes.

    Raises
    ------
    ConfigError
        A wanted column is none of these; names of tensors inside the graph are left to `graph_results`.
    """
    import pyarrow as pa

    roles, classes = model.roles, model.classes
    # The first graphs did not say how many raw scores there are.
    old = model.metadata.get("objective") in ("multiclass", "multiclassova")
    several = int(model.metadata.get("raw_scores", 2 if old else 1)) > 1
    made: dict[str, Result] = {}
    if "label" in roles:
        kind = model.metadata.get("class_type", "int64")
        made[PREDICTION] = Result(
            PREDICTION,
            roles["label"],
            _class_type(kind),
            lambda v: _class_values(v, kind),
            lambda v: _class_list(v, kind),
        )
        two = (classes is not None and len(classes) == 2) or not several
        if two:
            made[PROBABILITY] = Result(
                PROBABILITY,
                roles["probabilities"],
                pa.float32(),
                lambda v: pa.array(np.ascontiguousarray(v[:, 1])),
                lambda v: v[:, 1].tolist(),
            )
        else:
            made[PROBABILITY] = Result(
                PROBABILITY, roles["probabilities"], pa.list_(pa.float32()), _lists, _plain_lists
            )
    else:
        made[PREDICTION] = Result(
            PREDICTION,
            roles["prediction"],
            pa.float64(),
            lambda v: pa.array(v[:, 0].astype(np.float64)),
            lambda v: v[:, 0].astype(np.float64).tolist(),
        )
    if "decision" in roles:
        made[DECISION] = Result(
            DECISION,
            roles["decision"],
            _class_type(kind),
            lambda v: _class_values(v, kind),
            lambda v: _class_list(v, kind),
        )
        made[EXPECTED_COST] = Result(EXPECTED_COST, roles["expected_cost"], pa.float64(), pa.array)
    made[RAW_SCORE] = (
        Result(RAW_SCORE, roles["raw_score"], pa.list_(pa.float32()), _lists)
        if several
        else Result(
            RAW_SCORE, roles["raw_score"], pa.float32(), lambda v: pa.array(np.ascontiguousarray(v[:, 0]))
        )
    )
    if wanted is None:
        return [made[name] for name in ANSWERED if name in made]
    for name in wanted:
        if name not in made:
            raise ConfigError(
                f"outputs: this model gives no {name!r}; choose from {', '.join(made)}.{did_you_mean(name, made)}"
            )
    return [made[name] for name in wanted]


def graph_results(
    outputs: Sequence[TensorInfo],
    softmax: Mapping[str, str] | None = None,
    argmax: Mapping[str, str] | None = None,
) -> list[Result]:
    """Return one column per output of a graph, and the softmax and argmax columns that were asked for.

    `[N]` and `[N, 1]` are single values, anything wider an array of the row's values; a sequence of maps, as
    scikit-learn's converter answers probabilities, is a map column.
    """
    import pyarrow as pa

    made = [_graph_result(info) for info in outputs]
    for name, output in (softmax or {}).items():
        made.append(Result(name, output, pa.list_(pa.float32()), lambda v: _lists(_softmax(v))))
    for name, output in (argmax or {}).items():
        made.append(
            Result(
                name,
                output,
                pa.int64(),
                lambda v: pa.array(np.argmax(v, axis=1).reshape(-1).astype(np.int64)),
            )
        )
    return made


def _graph_result(info: TensorInfo) -> Result:
    import pyarrow as pa

    if info.type.startswith(("sequence<map<", "sequence<map(")):
        key, value = info.type.removesuffix(">>").split("<")[-1].split(",", 1)
        kind = pa.map_(_arrow(key), _arrow(value))
        return Result(info.name, info.name, kind, lambda v: pa.array([list(row.items()) for row in v], kind))
    if info.type.startswith(("sequence", "map", "optional")):
        raise ConfigError(
            f"outputs: {info.name!r} is {info.type}, which is no column; leave it out of outputs."
        )
    element = _arrow(info.type)
    if info.shape is not None and (len(info.shape) == 1 or info.width == 1):
        return Result(info.name, info.name, element, lambda v: _flat(v, element))
    return Result(info.name, info.name, pa.list_(element), lambda v: _lists(v, element))


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    if kind == "string":
        return pa.string()
    if kind == "float16":
        return pa.float32()  # Spark has no half floats
    if kind not in NUMPY:
        raise ConfigError(f"outputs: a tensor of {kind} is no column; leave it out of outputs.")
    # Spark's whole numbers have a sign.
    wider = {"uint8": "int16", "uint16": "int32", "uint32": "int64", "uint64": "float64"}
    return pa.from_numpy_dtype(np.dtype(wider.get(kind, NUMPY[kind])))


def _flat(values: NDArray[Any], element: pa.DataType) -> pa.Array:
    import pyarrow as pa

    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.kind in "OU":
        return pa.array(flat, element)
    return pa.array(flat.astype(element.to_pandas_dtype(), copy=False))


def _lists(values: NDArray[Any], element: pa.DataType | None = None) -> pa.Array:
    import pyarrow as pa

    rows = values.reshape(len(values), -1)
    offsets = pa.array(np.arange(0, rows.size + 1, max(1, rows.shape[1]), dtype=np.int32))
    inner = _flat(rows, element) if element is not None else pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.ListArray.from_arrays(offsets, inner)


def _plain_lists(values: NDArray[Any]) -> list[Any]:
    return values.reshape(len(values), -1).tolist()


def _softmax(values: NDArray[Any]) -> NDArray[Any]:
    rows = values.reshape(len(values), -1).astype(np.float64)
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _class_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    if kind == "boolean":
        return pa.bool_()
    if kind in _WHOLE:
        return pa.type_for_alias(_WHOLE[kind])
    if kind in ("float", "double") or kind.startswith("decimal"):
        return pa.float64()
    return pa.string()


def _class_values(values: NDArray[Any], kind: str) -> pa.Array:
    import pyarrow as pa

    target = _class_type(kind)
    if pa.types.is_boolean(target):
        return pa.array(values != 0)
    if pa.types.is_string(target):
        # Few classes: arrow makes the words once and not once per row.
        words, places = np.unique(values.astype(str), return_inverse=True)
        return pa.DictionaryArray.from_arrays(
            pa.array(places.astype(np.int32)), pa.array(words.tolist(), pa.string())
        ).cast(pa.string())
    return pa.array(values.astype(target.to_pandas_dtype()))


def _class_list(values: NDArray[Any], kind: str) -> list[Any]:
    import pyarrow as pa

    target = _class_type(kind)
    if pa.types.is_boolean(target):
        return (values != 0).tolist()
    if pa.types.is_string(target):
        return [str(word) for word in values.tolist()]
    return values.astype(target.to_pandas_dtype()).tolist()
