"""The lines of batches: one request each, made in Spark's tasks from the same values as a sender does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.services.batches.client import Address
from synml_dagster.services.description import InputError, Service
from synml_dagster.services.engine.request import Renderer, Request, longest_answer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_COLUMNS = "key string, line string, refused string, tokens bigint, longest bigint"


@dataclass(frozen=True)
class Line:
    """A row's request.

    Attributes
    ----------
    key
        The row's.
    content
        The request as a line of a batch; empty where there is none.
    tokens, longest
        What it is expected to take at the most, and the part of that which is the answer.
    refused
        Why no request can hold the row.
    """

    key: str
    content: bytes
    tokens: int
    longest: int
    refused: str | None = None


def rendered(rows: DataFrame, service: Service, inputs: tuple[str, ...]) -> Iterator[Line]:
    """Yield the requests of rows: their key first, then the service's inputs in the order of `inputs`."""
    made = rows.mapInArrow(_Render(service.model_dump_json(by_alias=True), inputs), _COLUMNS)
    for key, line, refused, tokens, longest in made.toLocalIterator():
        yield Line(key, (line or "").encode() + b"\n", tokens or 0, longest or 0, refused)


def with_body(line: Line, body: Any, tokens: int) -> Line:
    """Return a line with another body, of so many tokens."""
    told = json.loads(line.content) | {"body": body}
    return Line(line.key, _encoded(told).encode() + b"\n", tokens, line.longest)


def body_of(line: Line) -> Any:
    """Return the body of a line's request."""
    return json.loads(line.content)["body"]


@dataclass(frozen=True)
class _Render:
    """What a task maps over its rows."""

    service: str
    inputs: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        service = Service.model_validate_json(self.service)
        renderer, endpoint = Renderer(service), Address.of(service).endpoint
        text, number = pa.string(), pa.int64()
        schema = pa.schema(
            [("key", text), ("line", text), ("refused", text), ("tokens", number), ("longest", number)]
        )
        for batch in batches:
            made = []
            for row in batch.to_pylist():
                key, *values = row.values()
                told: dict[str, Any] = {"key": key}
                try:
                    request = _request(renderer, service, dict(zip(self.inputs, values, strict=True)))
                    line = {"custom_id": key, "method": "POST", "url": endpoint, "body": request.json}
                    told |= {"line": _encoded(line), "tokens": request.tokens}
                    told["longest"] = longest_answer(service, request.json)
                except InputError as problem:
                    told["refused"] = str(problem)
                made.append(told)
            yield pa.RecordBatch.from_pylist(made, schema)


def _request(renderer: Renderer, service: Service, row: Mapping[str, Any]) -> Request:
    if service.documents is None:
        return renderer.request(row)
    document, _, _ = renderer.document(row)
    return renderer.together([document], row)


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
