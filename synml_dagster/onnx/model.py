"""`OnnxModel`: one .onnx file, with what it takes and answers; ours or anybody's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ModelError

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"


@dataclass(frozen=True)
class TensorInfo:
    """A graph's input or output.

    Attributes
    ----------
    type
        `float`, `double`, `float16`, `int64`, `string`, `bool`, ...; what is not a tensor is named by its structure,
        as `sequence<map<string,float>>`.
    shape
        One entry per dimension, None where any size goes; None for what is not a tensor.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] | None

    @property
    def width(self) -> int | None:
        """Values in one row: 1 for `[N]` and `[N, 1]`; None where the shape leaves it open."""
        if self.shape is None:
            return None
        total = 1
        for size in self.shape[1:]:
            if size is None:
                return None
            total *= size
        return total


class OnnxModel:
    """A model file, in memory or on disk; a file over 2 GB is given by its path, its weights beside it.

    Parameters
    ----------
    source
        An `onnx.ModelProto`, a file's bytes, or the path of a file or of a folder that holds `model.onnx`.

    Raises
    ------
    ModelError
        There is no such file, it is not an ONNX model, or the files beside it that hold its weights are not there, cut
        short, or cannot be found because bytes or a graph were given.

    Examples
    --------
    >>> model = OnnxModel.load("bundle")  # doctest: +SKIP
    >>> [i.name for i in model.inputs]  # doctest: +SKIP
    ['age', 'city']
    """

    def __init__(self, source: onnx.ModelProto | bytes | str | Path) -> None:
        self.path: Path | None = None
        self._bytes: bytes | None = None
        if isinstance(source, str | Path):
            self.path = _model_file(Path(source))
        elif isinstance(source, bytes):
            self._bytes = source
        else:
            try:
                self._bytes = source.SerializeToString()
            except Exception as problem:
                raise ModelError(
                    f"This graph cannot be held in memory as one file ({problem}). Save it with onnx.save_model(..., save_as_external_data=True) and give its path."
                ) from problem
        self._graph = _parse(self)
        _check_weights(self)

    @classmethod
    def load(cls, place: str | Path) -> OnnxModel:
        """Open a file, or the `model.onnx` of a folder."""
        return cls(place)

    def save(self, place: str | Path) -> None:
        """Write the file `place`, or `model.onnx` into the folder `place` where its name does not end in `.onnx`.

        The files that hold its weights, if any, are written beside it.
        """
        file = Path(place) if Path(place).suffix == ".onnx" else Path(place) / FILE
        target = file.parent
        target.mkdir(parents=True, exist_ok=True)
        if self.path is None:
            file.write_bytes(self.content)
            return
        if self.path.resolve() != file.resolve():
            shutil.copyfile(self.path, file)
        for name in self.external_files:
            there = target / name
            if (self.path.parent / name).resolve() != there.resolve():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.path.parent / name, there)

    def with_weights_in(self, files: Mapping[str, str]) -> bytes:
        """Return the bytes of the file itself, its external weights looked for under the new names that `files` gives."""
        import onnx

        if not files:
            return self.content
        graph = onnx.load_from_string(self.content)
        for tensor in _external_tensors(graph):
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = files[entry.value]
        return bytes(graph.SerializeToString())

    @property
    def content(self) -> bytes:
        """The bytes of the file itself, without external weights."""
        if self._bytes is not None:
            return self._bytes
        assert self.path is not None
        return self.path.read_bytes()

    @property
    def size(self) -> int:
        """Bytes on disk, external weights included."""
        if self.path is None:
            return len(self.content)
        files = [self.path, *(self.path.parent / name for name in self.external_files)]
        return sum(file.stat().st_size for file in files)

    @cached_property
    def external_files(self) -> tuple[str, ...]:
        """The files beside the model that hold its weights, relative to its folder."""
        return tuple(sorted(_weight_files(self._graph)))

    @cached_property
    def digest(self) -> str:
        """What tells this model from others: of its bytes, and of its weight files' sizes and times of change."""
        found = hashlib.sha256(self.content)
        for name in self.external_files:
            assert self.path is not None
            stat = (self.path.parent / name).stat()
            found.update(f"{name}:{stat.st_size}:{stat.st_mtime_ns}".encode())
        return found.hexdigest()

    @property
    def proto(self) -> onnx.ModelProto:
        """The graph, without its external weights."""
        return self._graph

    @cached_property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What the graph takes, in its order; constants with a default are not inputs."""
        constants = {tensor.name for tensor in self._graph.graph.initializer}
        return tuple(_info(value) for value in self._graph.graph.input if value.name not in constants)

    @cached_property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What the graph answers, in its order."""
        return tuple(_info(value) for value in self._graph.graph.output)

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The pairs written into the file."""
        return {pair.key: pair.value for pair in self._graph.metadata_props}

    @property
    def is_pipeline(self) -> bool:
        """Whether this package exported it, so that `metadata` says what each output is."""
        return "synml_dagster" in self.metadata

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """Output name by role (`label`, `probabilities`, `prediction`, `raw_score`) of a model of this package."""
        return json.loads(self.metadata["outputs"]) if self.is_pipeline else {}

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """The classes in the order of the probabilities, as text."""
        return (
            tuple(json.loads(self.metadata["classes"]))
            if self.is_pipeline and "classes" in self.metadata
            else None
        )

    def __repr__(self) -> str:
        """Say what it takes and answers, in one line."""
        takes = ", ".join(tensor.name for tensor in self.inputs[:5]) + ", ..." * (len(self.inputs) > 5)
        return f"OnnxModel({len(self.inputs)} inputs: {takes}; answers {', '.join(t.name for t in self.outputs[:5])}; {self.size:,} bytes)"

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("An OnnxModel is not pickled; send its bytes, or its path.")


def _model_file(place: Path) -> Path:
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise ModelError(f"There is no ONNX model at {str(file)!r}.")
    return file


def _parse(model: OnnxModel) -> onnx.ModelProto:
    import onnx

    where = repr(str(model.path)) if model.path else "This"
    try:
        if model.path is not None:
            found = onnx.load(str(model.path), load_external_data=False)
        else:
            found = onnx.load_from_string(model.content)
    except Exception as problem:
        raise ModelError(f"{where} is not an ONNX model, or is cut short: {_first(problem)}") from problem
    if not found.graph.node and not found.graph.output:
        raise ModelError(f"{where} is not an ONNX model: it has no graph.")
    return found


def _external_tensors(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    return [tensor for tensor in _get_all_tensors(graph) if uses_external_data(tensor)]


def _weight_files(graph: onnx.ModelProto) -> dict[str, int]:
    """Return the files that hold the graph's weights, and how many bytes each must have."""
    found: dict[str, int] = {}
    for tensor in _external_tensors(graph):
        told = {entry.key: entry.value for entry in tensor.external_data}
        end = int(told.get("offset", 0)) + int(told.get("length", 0))
        found[told["location"]] = max(found.get(told["location"], 0), end)
    return found


def _check_weights(model: OnnxModel) -> None:
    """Refuse a model whose weights are not where it says; the runtime would, on the executors, in its own words."""
    for name, needed in sorted(_weight_files(model.proto).items()):
        if model.path is None:
            raise ModelError(
                f"This model keeps its weights in the file {name!r} beside it, which bytes and graphs in memory do not say where to find. Give the path of the model's file."
            )
        file = model.path.parent / name
        if not file.is_file():
            raise ModelError(
                f"The model {str(model.path)!r} keeps its weights in {name!r} beside it, and there is no {str(file)!r}. Copy the two together."
            )
        if (size := file.stat().st_size) < needed:
            raise ModelError(
                f"The model {str(model.path)!r} keeps {needed} bytes of weights in {str(file)!r}, which has {size}: it is cut short. Copy it again."
            )


def _first(problem: BaseException) -> str:
    return next(iter(str(problem).splitlines()), type(problem).__name__)


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    kind = value.type
    if not kind.HasField("tensor_type"):
        return TensorInfo(value.name, _structure(kind), None)
    tensor = kind.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return TensorInfo(value.name, _element(tensor.elem_type), shape)


def _structure(kind: onnx.TypeProto) -> str:
    if kind.HasField("sequence_type"):
        return f"sequence<{_structure(kind.sequence_type.elem_type)}>"
    if kind.HasField("map_type"):
        return f"map<{_element(kind.map_type.key_type)},{_structure(kind.map_type.value_type)}>"
    return _element(kind.tensor_type.elem_type)


def _element(number: int) -> str:
    from onnx import TensorProto

    return TensorProto.DataType.Name(number).lower()
