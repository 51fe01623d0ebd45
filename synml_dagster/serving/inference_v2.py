"""The Open Inference Protocol, version 2: named tensors in, named tensors out. A tensor here is a raw column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synml_dagster.errors import did_you_mean
from synml_dagster.serving.invocations import dumped, parsed
from synml_dagster.serving.rows import RequestError, Rows

PLATFORM = "onnx_onnxv1"

_WHOLE = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_NARROW: dict[str, Any] = {"FP16": np.float16, "FP32": np.float32}
_DATATYPES = {"BOOL", "BYTES", "FP16", "FP32", "FP64", *_WHOLE}


@dataclass(frozen=True)
class InferRequest:
    """A request: its rows, its id, which is echoed, and the outputs that it wants, all where None."""

    rows: Rows
    id: str | None
    outputs: tuple[str, ...] | None


def read_request(body: bytes, max_rows: int, answers: Sequence[str]) -> InferRequest:
    """Return what a body asks for.

    Raises
    ------
    RequestError
        It is malformed, of more rows, or wants an output that is not among `answers`.
    """
    found = parsed(body)
    if others := [name for name in found if name not in ("id", "inputs", "outputs", "parameters")]:
        raise RequestError(
            f"{others[0]!r} is unknown; a request has 'inputs', and perhaps 'id', 'outputs' and 'parameters'."
        )
    given = found.get("inputs")
    if not isinstance(given, list) or not given:
        raise RequestError("'inputs' is a list of tensors, one for each column.")
    columns: dict[str, list[Any]] = {}
    count, first = 0, ""
    for tensor in given:
        name, values = _column(tensor)
        if name in columns:
            raise RequestError(f"Input {name!r} is there twice.")
        if columns and len(values) != count:
            raise RequestError(f"Input {name!r} has {len(values)} rows where {first!r} has {count}.")
        if not columns:
            count, first = len(values), name
        columns[name] = values
    if count > max_rows:
        raise RequestError(f"{count} rows are more than the {max_rows} that one request may have.", 413)
    if count == 0:
        raise RequestError("There are no rows in the inputs.")
    told = found.get("id")
    if told is not None and not isinstance(told, str):
        raise RequestError("'id' is text.")
    return InferRequest(Rows(columns, count), told, _wanted(found.get("outputs"), answers))


def _column(tensor: Any) -> tuple[str, list[Any]]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise RequestError("Each of 'inputs' is an object with 'name', 'shape', 'datatype' and 'data'.")
    name = tensor["name"]
    datatype, shape, data = (tensor.get(key) for key in ("datatype", "shape", "data"))
    if datatype not in _DATATYPES:
        raise RequestError(
            f"Input {name!r}: datatype {datatype!r} is none of {', '.join(sorted(_DATATYPES))}."
        )
    if (
        not isinstance(shape, list)
        or not all(type(size) is int and size >= 0 for size in shape)
        or len(shape) not in (1, 2)
    ):
        raise RequestError(f"Input {name!r}: 'shape' is [rows] or [rows, values in a row].")
    if not isinstance(data, list):
        raise RequestError(f"Input {name!r}: 'data' is a list; binary tensors are not taken.")
    width = shape[1] if len(shape) == 2 else 1
    flat = [one for row in data for one in (row if isinstance(row, list) else [row])]
    if len(flat) != shape[0] * width:
        raise RequestError(f"Input {name!r}: {len(flat)} values do not fill the shape {shape}.")
    for i, value in enumerate(flat):
        if value is not None and not _is_of(value, datatype):
            raise RequestError(f"Input {name!r}: value {i} is no {datatype}.")
    if datatype in _NARROW:  # a value of these has fewer digits than its JSON
        flat = [None if value is None else _NARROW[datatype](value) for value in flat]
    if width == 1:
        return name, flat
    return name, [flat[i : i + width] for i in range(0, len(flat), width)]


def _is_of(value: Any, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if datatype in _WHOLE else isinstance(value, int | float)


def _wanted(outputs: Any, answers: Sequence[str]) -> tuple[str, ...] | None:
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs
    ):
        raise RequestError("'outputs' is a list of objects with 'name'.")
    names = [one["name"] for one in outputs]
    for name in names:
        if name not in answers:
            raise RequestError(
                f"Output {name!r} is none of {', '.join(answers)}.{did_you_mean(name, answers)}"
            )
    return tuple(dict.fromkeys(names))


def write_reply(
    answers: dict[str, list[Any]], types: dict[str, str], name: str, version: str, asked: InferRequest
) -> bytes:
    """Return the reply: one tensor for each answer; `types` has their datatypes."""
    wanted = asked.outputs or tuple(answers)
    reply: dict[str, Any] = {"model_name": name, "model_version": version}
    if asked.id is not None:
        reply["id"] = asked.id
    reply["outputs"] = [_tensor(one, types[one], answers[one]) for one in wanted]
    return dumped(reply)


def _tensor(name: str, datatype: str, values: list[Any]) -> dict[str, Any]:
    shape = [len(values)]
    if values and isinstance(values[0], list):
        shape.append(len(values[0]))
        values = [one for row in values for one in row]
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}
