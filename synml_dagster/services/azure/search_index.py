"""An index of Azure AI Search: made of the rows' columns where there is none, refused where there is another one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.services.description import SearchIndex, Service
from synml_dagster.services.engine.caller import Caller, Clock
from synml_dagster.services.engine.conversation import conversation
from synml_dagster.services.engine.outcome import RowError, Tally
from synml_dagster.services.engine.request import Request
from synml_dagster.services.secrets import key_here

_PROFILE, _ALGORITHM = "synml-vectors", "synml-hnsw"

# A day, and a time of no zone, are no moment: the service takes moments with an offset alone.
_PLAIN = {
    "string": "Edm.String", "date": "Edm.String", "timestamp_ntz": "Edm.String", "timestamp": "Edm.DateTimeOffset",
    "boolean": "Edm.Boolean", "byte": "Edm.Int32", "short": "Edm.Int32", "integer": "Edm.Int32", "long": "Edm.Int64",
    "float": "Edm.Double", "double": "Edm.Double",
}  # fmt: skip


def ensure_index(service: Service, kinds: Mapping[str, Any]) -> None:
    """Make the index that rows are written to, where there is none.

    Parameters
    ----------
    service
        The description, with its `index`.
    kinds
        Column to its type, as Spark's JSON of schemas has it.

    Raises
    ------
    ConfigError
        A column has no type there, or there is an index with other fields.
    SetupError
        The service refuses, or cannot be reached.
    """
    index = service.index
    assert index is not None
    wanted = definition(index, kinds)

    async def work(caller: Caller) -> None:
        there = await _asked(caller, index, "GET")
        if there is None:
            there = await _asked(caller, index, "PUT", wanted)
        if there is not None:
            _compare(index, wanted, there)

    try:
        conversation(service, key_here(service.key), work)
    except RowError as problem:
        raise SetupError(f"{service.name}: the index {_name(index)!r}: {problem.message}") from None


def definition(index: SearchIndex, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the index as the service takes it.

    Raises
    ------
    ConfigError
        A column has no type there.
    """
    if kinds[index.fields[index.id]] != "string":
        raise ConfigError(
            f"create: the key field {index.id!r} is text in every index, and the column {index.fields[index.id]!r} is {_shown(kinds[index.fields[index.id]])}; cast it to string"
        )
    fields = [_field(index, field, kinds[column]) for field, column in index.fields.items()]
    told: dict[str, Any] = {"name": _name(index), "fields": fields}
    if index.vectors:
        parameters = {"metric": index.metric, "m": 4, "efConstruction": 400, "efSearch": 500}
        told["vectorSearch"] = {
            "algorithms": [{"name": _ALGORITHM, "kind": "hnsw", "hnswParameters": parameters}],
            "profiles": [{"name": _PROFILE, "algorithm": _ALGORITHM}],
        }
    return told


def _field(index: SearchIndex, name: str, kind: Any) -> dict[str, Any]:
    if name in index.vectors:
        if not isinstance(kind, dict) or kind.get("elementType") not in ("float", "double"):
            raise ConfigError(f"create.vectors.{name}: the column is {_shown(kind)}, and no list of numbers")
        return {
            "name": name, "type": "Collection(Edm.Single)", "searchable": True, "retrievable": True,
            "dimensions": index.vectors[name], "vectorSearchProfile": _PROFILE,
        }  # fmt: skip
    made: dict[str, Any] = {"name": name, "type": _type(name, kind)}
    if made["type"].endswith(("Edm.ComplexType", "Edm.ComplexType)")):
        inner = kind["elementType"] if kind["type"] == "array" else kind
        return made | {"fields": [_inner(name, one) for one in inner["fields"]]}
    return made | _uses(made["type"], name == index.id, name in index.filterable)


def _inner(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": field["name"], "type": _type(f"{name}.{field['name']}", field["type"])}
    if made["type"].endswith(("Edm.ComplexType", "Edm.ComplexType)")):
        inner = field["type"]["elementType"] if field["type"]["type"] == "array" else field["type"]
        return made | {"fields": [_inner(name, one) for one in inner["fields"]]}
    return made | _uses(made["type"], False, False)


def _uses(kind: str, is_key: bool, filterable: bool) -> dict[str, Any]:
    """Return what a field is for. A long text cannot be filtered by: the service refuses its document."""
    text, several = kind.endswith(("Edm.String", "Edm.String)")), kind.startswith("Collection(")
    by = not text or filterable or is_key
    return {
        "key": is_key, "retrievable": True, "searchable": text, "filterable": by, "sortable": by and not several, "facetable": False,
    }  # fmt: skip


def _type(name: str, kind: Any) -> str:
    if isinstance(kind, str) and (
        found := _PLAIN.get("string" if kind.startswith(("varchar", "char")) else kind)
    ):
        return found
    if isinstance(kind, dict) and kind["type"] == "struct":
        return "Edm.ComplexType"
    if isinstance(kind, dict) and kind["type"] == "array":
        inner = _type(name, kind["elementType"])
        if not inner.startswith("Collection("):
            return f"Collection({inner})"
    raise ConfigError(
        f"create: no field of an index is made for {name!r}, which is {_shown(kind)}; cast it, or leave it out of fields"
    )


def _compare(index: SearchIndex, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Refuse an index whose fields are others than the rows'."""
    found = {one["name"]: one for one in there.get("fields") or () if isinstance(one, dict) and "name" in one}
    for field in wanted["fields"]:
        one = found.get(field["name"])
        if one is None:
            raise ConfigError(
                f"create: the index {_name(index)!r} is there, and has no field {field['name']!r}; add it there, write to another index, or leave it out of fields"
            )
        for what in ("type", "key", "dimensions"):
            if (one.get(what) or None) != (field.get(what) or None):
                raise ConfigError(
                    f"create: the index {_name(index)!r} is there, and its field {field['name']!r} has {what} {one.get(what)!r} where the rows need {field.get(what)!r}; "
                    "write to another index, or change the rows"
                )


async def _asked(caller: Caller, index: SearchIndex, method: str, body: Any = None) -> dict[str, Any] | None:
    """Return the index as it is, None where there is none, or where the service does not repeat what it has made."""
    headers = {"Accept": "application/json;odata.metadata=none"}
    if body is not None:
        headers |= {"Content-Type": "application/json", "Prefer": "return=representation"}
    clock = Clock(time.time() + caller.policy.seconds_a_row, caller.policy.seconds_a_row)
    content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
    request = Request(method, f"{index.url}?api-version={index.version}", headers, content)
    try:
        reply, _ = await caller.call(request, Tally(), clock, parse=False)
    except RowError as problem:
        if method == "GET" and problem.status == 404:
            return None
        raise
    if not reply.body:
        return None
    try:
        told = json.loads(reply.body)
    except ValueError:
        told = None  # of a proxy, such as a page to log in
    if not isinstance(told, dict):
        raise RowError("malformed", "the answer is no index")
    return told


def _name(index: SearchIndex) -> str:
    return index.url.rpartition("('")[2].removesuffix("')")


def _shown(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(kind.get("type"))
