"""Which columns of a table fill which inputs of a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.errors import DataError, ModelError, did_you_mean
from synml_dagster.onnx.tensors import NUMPY, Reasons, tensor

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.columns import RawInput
    from synml_dagster.onnx.model import OnnxModel, TensorInfo


@dataclass(frozen=True)
class Binding:
    """One input of the graph and the columns that fill it, side by side; each column is a path into structs."""

    info: TensorInfo
    columns: tuple[tuple[str, ...], ...]


def bind(model: OnnxModel, inputs: Mapping[str, str | Sequence[str]] | None) -> list[Binding]:
    """Map columns to inputs: by name, or as `inputs` says.

    Parameters
    ----------
    model
        Whose inputs are to be filled.
    inputs
        Column, or columns side by side, per input; an input that it leaves out is filled by the column of its name.

    Raises
    ------
    ModelError
        `inputs` names an input that the graph has not, or an input is not a tensor.
    """
    given = dict(inputs or {})
    known = [info.name for info in model.inputs]
    for name in given:
        if name not in known:
            raise ModelError(
                f"inputs: the graph has no input {name!r}; it takes {', '.join(map(repr, known))}.{did_you_mean(name, known)}"
            )
    paths = _paths(model)
    bound = []
    for info in model.inputs:
        if info.type != "string" and info.type not in NUMPY:
            raise ModelError(f"Input {info.name!r} is {info.type}, which no table column can fill.")
        wanted = given.get(info.name)
        if wanted is None:
            columns: tuple[tuple[str, ...], ...] = (paths.get(info.name, (info.name,)),)
        elif isinstance(wanted, str):
            columns = ((wanted,),)
        else:
            columns = tuple((name,) for name in wanted)
        if len(columns) > 1 and info.width not in (None, len(columns)):
            raise ModelError(
                f"inputs: {info.name!r} takes {info.width} values a row and is given {len(columns)} columns."
            )
        bound.append(Binding(info, columns))
    return bound


def _paths(model: OnnxModel) -> dict[str, tuple[str, ...]]:
    if "raw_inputs" not in model.metadata or not model.is_pipeline:
        return {}
    return {raw["name"]: tuple(raw["path"]) for raw in json.loads(model.metadata["raw_inputs"])}


def planned_columns(model: OnnxModel) -> list[RawInput] | None:
    """Return the raw columns of a pipeline's plan; None for any other model.

    Raises
    ------
    ModelError
        Spark makes some of its features, and not the graph.
    """
    from synml_dagster.columns import RawInput

    if not (model.is_pipeline and "raw_inputs" in model.metadata):
        return None
    outside = json.loads(model.metadata.get("outside", "{}"))
    if outside:
        raise ModelError(
            f"The features of {', '.join(map(repr, outside))} are made by Spark and not by this graph ({next(iter(outside.values()))}). Assemble them first and score with inputs=."
        )
    return [RawInput.model_validate(raw) for raw in json.loads(model.metadata["raw_inputs"])]


def check_columns(bindings: Sequence[Binding], names: Sequence[str], what: str = "The table") -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    DataError
        Naming every missing column and, for the first, the nearest that are there.
    """
    have = set(names)
    missing = [
        path
        for binding in bindings
        for path in binding.columns
        if path[0] not in have and ".".join(path) not in have
    ]
    if missing:
        listed = ", ".join(repr(".".join(path)) for path in missing[:10]) + (
            " ..." if len(missing) > 10 else ""
        )
        raise DataError(
            f"{what} lacks {len(missing)} column{'s' * (len(missing) > 1)} that the model takes: {listed}."
            f"{did_you_mean('.'.join(missing[0]), names)}"
        )


def column_at(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    """Return the column at `path`: a column of that whole name, or a field inside structs."""
    import pyarrow.compute as pc

    whole = ".".join(path)
    index = batch.schema.get_field_index(whole)
    if index >= 0:
        return batch.column(index)
    column = batch.column(batch.schema.get_field_index(path[0]))
    for step in path[1:]:
        column = pc.struct_field(column, step)
    return column


def fill(binding: Binding, batch: pa.RecordBatch, reasons: Reasons, strict: bool) -> np.ndarray:
    """Return the tensor of one input, in the graph's own shape.

    Raises
    ------
    DataError
        `strict`, and text is given where the graph takes numbers; or the columns cannot fill the input.
    """
    import pyarrow as pa

    info = binding.info
    single = len(binding.columns) == 1
    parts = []
    for path in binding.columns:
        column = column_at(batch, path)
        name = ".".join(path)
        if (
            strict
            and info.type != "string"
            and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type))
        ):
            raise DataError(
                f"Column {name!r} is text where the model takes {info.type} numbers. Cast it in the source, or score with bad_rows='mark', which sets rows without a number aside."
            )
        parts.append(tensor(column, name, info.type, info.width if single else 1, reasons))
    joined = parts[0] if single else np.concatenate(parts, axis=1)
    return shaped(joined, info)


def shaped(values: np.ndarray, info: TensorInfo) -> np.ndarray:
    """Give `[N, width]` values the inner shape of the input: `[N]`, `[N, 3, 224, 224]`, ...

    Raises
    ------
    DataError
        A row has another number of values than the input takes.
    """
    if info.shape is None or len(info.shape) == 2:
        wanted = info.width
        if wanted is not None and values.shape[1] != wanted:
            raise DataError(
                f"Input {info.name!r} takes {wanted} values a row and is given {values.shape[1]}."
            )
        return values
    if len(info.shape) < 2:
        return values.reshape(-1)
    inner = [size if size is not None else -1 for size in info.shape[1:]]
    if inner.count(-1) > 1:
        inner = [1 if size == -1 else size for size in inner[:-1]] + [-1]
    try:
        return values.reshape(len(values), *inner)
    except ValueError as problem:
        raise DataError(
            f"Input {info.name!r} is of shape {list(info.shape)}; {values.shape[1]} values a row do not fill it."
        ) from problem
