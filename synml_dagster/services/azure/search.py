"""Azure AI Search: rows become documents of an index, each with a status of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.azure.offer import Offer, optional, required
from synml_dagster.services.description import Key, SearchIndex, Service
from synml_dagster.services.description.service import plain_problems
from synml_dagster.services.description.template import literal

VERSION = "2026-04-01"

_CREATE = ("vectors", "metric", "filterable")

ACTIONS = ("mergeOrUpload", "upload", "merge", "delete")

# What the service's own clients send again, of requests and of documents in them: 409 is a conflict of versions, 422 an index
# that is being changed.
_POLICY = {"retry": [408, 409, 422, 500, 502, 503, 504]}


class SearchOffer(Offer):
    """Writes documents: its `fields` become the document that is sent for a row."""

    def bound(self, parameters: dict[str, Any]) -> Service:
        """Return the description with these parameters.

        Raises
        ------
        ConfigError
            One is unknown or missing, or cannot be.
        """
        given = dict(parameters)
        if "index" in given:
            check_index_name(given["index"])
        action, id = given.get("action", ACTIONS[0]), given.get("id")
        if action not in ACTIONS:
            raise ConfigError(f"{self.name}: there is no action {action!r}; there are {', '.join(ACTIONS)}")
        fields = _fields(self.name, given.pop("fields", None), action)
        create, columns = given.pop("create", None), dict(fields)
        if isinstance(id, str):
            each = {"@search.action": action, id: _column(fields.pop(id, id))}
            given["document"] = each | {
                literal(field): _column(column) for field, column in fields.items() if action != "delete"
            }
        given.setdefault("key", Key(env=self.key, header="api-key", prefix=""))
        given["key"] = given["key"] and Key.model_validate(given["key"]).over(
            Key(env=self.key, header="api-key", prefix="")
        )
        made = super().bound({"policy": _POLICY} | given)
        if create is None:
            return made
        return made.model_copy(update={"index": _index(self.name, given, columns, action, create)})


def _index(
    service: str, given: Mapping[str, Any], columns: dict[str, str], action: str, create: Any
) -> SearchIndex:
    """Return the index that is made of the rows."""
    if action in ("merge", "delete"):
        raise ConfigError(
            f"{service}: create does not go with action {action}, which changes documents that are there"
        )
    if not isinstance(create, Mapping):
        raise ConfigError(f"{service}: create is a mapping, such as {{vectors: {{embedding: 384}}}}")
    url = f"{str(given['endpoint']).rstrip('/')}/indexes('{given['index']}')"
    told = {
        "url": url,
        "version": VERSION,
        "id": given["id"],
        "fields": {given["id"]: given["id"], **columns},
    }
    for name in create:
        if name not in _CREATE:
            raise ConfigError(
                f"{service}: create has no parameter {name!r}; it takes {', '.join(_CREATE)}.{did_you_mean(name, _CREATE)}"
            )
    try:
        return SearchIndex.model_validate({**create, **told})
    except ValidationError as problem:
        raise ConfigError(f"{service}: {plain_problems(problem)}") from None


def check_index_name(name: Any) -> None:
    """Refuse what no index can be called.

    Raises
    ------
    ConfigError
        It is no such name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9](?:-?[a-z0-9]){1,127}", name):
        raise ConfigError(
            f"{name!r} is no name of an index: it has 2 to 128 small letters, digits and single dashes, and begins and ends with none"
        )


def _fields(service: str, fields: Any, action: str) -> dict[str, str]:
    """Return the column of each field."""
    if fields is None and action == "delete":
        return {}
    if isinstance(fields, Mapping):
        return dict(fields)
    if isinstance(fields, list | tuple) and fields and all(isinstance(one, str) for one in fields):
        return {one: one for one in fields}
    raise ConfigError(
        f"{service} needs fields: a list of columns that are fields of the index, or a mapping of fields to columns"
    )


def _column(name: str) -> str:
    if not isinstance(name, str) or not name or "{" in name or "}" in name:
        raise ConfigError(f"fields: {name!r} is no name of a column")
    return f"{{{name}}}"


OFFERS: list[Offer] = [
    SearchOffer(
        name="azure.search.documents", about="Rows as documents of an index.", version=VERSION, key="AZURE_SEARCH_KEY",
        parameters={
            "index": required("The index's name."),
            "id": required("The index's key field; its column has the same name, unless `fields` say another."),
            "fields": optional("Columns that are fields of the index, or a mapping of fields to columns."),
            "action": optional("mergeOrUpload, upload, merge or delete.", ACTIONS[0]),
            "create": optional(
                "Make the index where there is none, of the columns' types: vectors (field: numbers in a vector), metric (cosine, dotProduct or euclidean) and filterable (fields of text)."
            ),
            "document": optional("Made of `fields`."),
        },
        service={
            "url": "${endpoint}/indexes('${index}')/docs/search.index",
            "query": {"api-version": VERSION},
            "headers": {"Accept": "application/json;odata.metadata=none"},
            "body": {},
            # 1,000 documents and 16 MB a request.
            "documents": {
                "at": "value", "answers": "value", "most": 1000, "most_bytes": 15_000_000, "each": "${document}",
                "key": "${id}", "answer_key": "key", "status": "statusCode", "nulls": True,
            },
            "answer": {"path": "statusCode", "type": "int"},
            "writes": True,
        },
    ),
]  # fmt: skip
