"""A collection of Qdrant: what its vectors are like, made where there is none; points into it, and others out of it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from synml_dagster.errors import ConfigError, DataError, SetupError, did_you_mean
from synml_dagster.services.engine.caller import Caller, Clock
from synml_dagster.services.engine.conversation import conversation
from synml_dagster.services.engine.outcome import RowError, Tally
from synml_dagster.services.engine.portions import in_portions
from synml_dagster.services.engine.request import Request
from synml_dagster.services.vectors.qdrant.points import MARK, Point, check_kinds, points
from synml_dagster.services.vectors.qdrant.settings import QdrantSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

_MOST_POINTS, _MOST_BYTES = 1000, 8 * 2**20
"""Of one request; a server takes 32 MB where it is told nothing else."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Collection:
    """A collection as a write needs to know it.

    Attributes
    ----------
    settings
        Where it is.
    vectors
        Column to the name of the vector that it becomes, empty where the collection has one without a name.
    sizes
        Column to the numbers of its vectors.
    """

    settings: QdrantSettings
    vectors: dict[str, str]
    sizes: dict[str, int]

    @classmethod
    def found(cls, settings: QdrantSettings, schema: StructType) -> Collection:
        """Return the collection for rows of a schema, made where there is none and the settings say how.

        Raises
        ------
        ConfigError
            The rows do not fit it.
        SetupError
            Qdrant refuses, or cannot be reached.
        """
        kinds = {one["name"]: one["type"] for one in schema.jsonValue()["fields"]}
        for name in (*settings.key, *([settings.vector] if settings.vector else [])):
            if name not in kinds:
                raise ConfigError(f"vectors: the rows have no column {name!r}.{did_you_mean(name, kinds)}")
        lists = [name for name, kind in kinds.items() if _is_vector(kind)]
        if settings.vector is not None and settings.vector not in lists:
            raise ConfigError(f"vectors: the column {settings.vector!r} is no list of numbers")
        check_kinds(kinds, settings.key, dict.fromkeys(lists, ""))

        async def work(caller: Caller) -> Any:
            there = await _described(caller, settings)
            if there is None:
                await _create(caller, settings, lists)
                there = await _described(caller, settings)
            return there

        vectors, sizes = _matched(settings, _talk(settings, work), lists)
        check_kinds(kinds, settings.key, vectors)
        return cls(settings, vectors, sizes)

    def put(self, batches: Iterable[pa.RecordBatch], mark: str | None) -> list[Point]:
        """Write the rows of a task; return their points without the text.

        Raises
        ------
        DataError
            A row cannot be a point, or Qdrant refuses it.
        SetupError
            Qdrant cannot be reached.
        """
        made: list[Point] = []

        async def work(caller: Caller) -> None:
            made_of = (points(batch, self.settings.key, self.vectors, self.sizes, mark) for batch in batches)
            together = chain.from_iterable(made_of)
            for some in in_portions(together, lambda point: len(point.text), _MOST_POINTS, _MOST_BYTES):
                await self._upsert(caller, some)
                made.extend(Point(one.id, "", one.digest) for one in some)

        _talk(self.settings, work)
        return made

    def remove_others(self, mark: str) -> None:
        """Remove the points that another write than `mark` has written."""
        body = {"filter": {"must_not": [{"key": MARK, "match": {"value": mark}}]}}

        async def work(caller: Caller) -> None:
            await _asked(
                caller, "POST", f"{self.settings.address}/points/delete?wait=true", json.dumps(body).encode()
            )

        _talk(self.settings, work)

    async def _upsert(self, caller: Caller, some: list[Point]) -> None:
        body = b'{"points":[' + ",".join(one.text for one in some).encode() + b"]}"
        try:
            told = await _asked(caller, "PUT", f"{self.settings.address}/points?wait=true", body)
        except RowError as problem:
            if problem.status == 413 and len(some) > 1:
                middle = len(some) // 2
                await self._upsert(caller, some[:middle])
                await self._upsert(caller, some[middle:])
                return
            raise
        if told.get("status") != "completed":
            raise RowError("failed", f"the points are {told.get('status')!r}, and not completed")


def _is_vector(kind: Any) -> bool:
    return (
        isinstance(kind, dict) and kind.get("type") == "array" and kind["elementType"] in ("float", "double")
    )


def _matched(settings: QdrantSettings, there: Any, lists: list[str]) -> tuple[dict[str, str], dict[str, int]]:
    """Return which columns become which vectors of a collection."""
    if isinstance(there.get("size"), int):  # else it is a vector's name
        column = settings.vector or (lists[0] if len(lists) == 1 else None)
        if column is None:
            raise ConfigError(
                f"vectors: {settings.place} has one vector without a name; say which column it is by the option vector: {', '.join(lists) or 'the rows have no list of numbers'}"
            )
        names = {column: ""}
        sizes = {column: int(there["size"])}
    else:
        named = [settings.vector] if settings.vector else [name for name in there if name in lists]
        if not named or not set(named) <= set(there):
            raise ConfigError(
                f"vectors: {settings.place} has the vectors {', '.join(there) or 'none'}, and the rows' lists of numbers are {', '.join(lists) or 'none'}. A column has the name of its vector."
            )
        names = {str(name): str(name) for name in named}
        sizes = {name: int(there[name]["size"]) for name in names}
    for name, size in sizes.items():
        if settings.dimensions is not None and settings.dimensions != size:
            raise ConfigError(
                f"vectors: dimensions is {settings.dimensions}, and the vectors of {settings.place} for {name!r} have {size} numbers"
            )
    return names, sizes


async def _described(caller: Caller, settings: QdrantSettings) -> Any:
    """Return the collection's vectors, None where there is no such collection."""
    try:
        told = await _asked(caller, "GET", settings.address)
    except RowError as problem:
        if problem.status == 404:
            return None
        raise
    vectors = told.get("config", {}).get("params", {}).get("vectors")
    if not isinstance(vectors, dict):
        raise RowError("malformed", "the answer does not say what vectors the collection has")
    return vectors


async def _create(caller: Caller, settings: QdrantSettings, lists: list[str]) -> None:
    if settings.dimensions is None:
        raise ConfigError(
            f"vectors: there is no collection {settings.place}. Make it, or say how many numbers a vector has: option dimensions"
        )
    if settings.vector is None and len(lists) != 1:
        raise ConfigError(
            f"vectors: dimensions is for a column of lists of numbers; say which by the option vector: {', '.join(lists) or 'the rows have none'}"
        )
    body = {"vectors": {"size": settings.dimensions, "distance": settings.distance}}
    try:
        await _asked(caller, "PUT", settings.address, json.dumps(body).encode())
    except RowError as problem:
        if "already exists" not in problem.message:  # another write has just made it
            raise


async def _asked(caller: Caller, method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
    """Return the `result` of an answer."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    clock = Clock(time.time() + caller.policy.seconds_a_row, caller.policy.seconds_a_row)
    _, told = await caller.call(Request(method, url, headers, body), Tally(), clock)
    found = told.get("result") if isinstance(told, dict) else None
    if isinstance(found, bool):
        return {}
    if not isinstance(found, dict):
        raise RowError("malformed", f"the answer to {method} has no result")
    return found


def _talk(settings: QdrantSettings, work: Callable[[Caller], Awaitable[Result]]) -> Result:
    try:
        return conversation(settings.service, settings.secret, work)
    except RowError as problem:
        kind = DataError if problem.status in (400, 413, 422) else SetupError
        raise kind(f"vectors: {settings.place}: {problem.message}") from None
