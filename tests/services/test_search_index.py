"""An index of Azure AI Search is made of the rows' columns; one that is there with other fields is refused before a row is sent."""

from __future__ import annotations

import pytest
from aiohttp import web

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.services import Service, azure, call_service
from synml_dagster.services.azure.search_index import ensure_index
from tests.services.server import Server, fault
from tests.services.test_search import QUICK, Index

KINDS = {
    "id": "string", "name": "string", "visits": "long", "price": "float", "open": "boolean", "day": "date", "at": "timestamp",
    "tags": {"type": "array", "elementType": "string", "containsNull": True},
    "vector": {"type": "array", "elementType": "float", "containsNull": True},
    "owner": {"type": "struct", "fields": [{"name": "age", "type": "integer", "nullable": True, "metadata": {}}]},
}  # fmt: skip

CREATE = {"vectors": {"vector": 2}, "filterable": ["name"]}


class Indexes:
    """Indexes as the service keeps them, and their documents."""

    def __init__(self):
        self.there, self.documents, self.silent = {}, Index(), False

    def __call__(self, seen, nth):
        if seen.method == "POST":
            return self.documents(seen, nth)
        assert seen.query == {"api-version": "2026-04-01"}
        name = seen.path.removeprefix("/indexes('").removesuffix("')")
        if seen.method == "PUT":
            assert (seen.headers["prefer"], seen.headers["content-type"]) == (
                "return=representation", "application/json",
            )  # fmt: skip
            self.there[name] = seen.json | {
                "similarity": {"@odata.type": "#Microsoft.Azure.Search.BM25Similarity"}
            }
        if name not in self.there:
            return fault(
                404, {"error": {"code": "", "message": f"No index with the name '{name}' was found"}}
            )
        return self.there[name]


def hotels(server, **more) -> Service:
    fields = {name: name for name in KINDS if name != "id"}
    told = {"index": "hotels", "id": "id", "fields": fields, "key": None, "policy": QUICK, "create": CREATE}
    return azure.service("azure.search.documents", endpoint=server.url, **(told | more))


def test_fields_have_the_types_of_their_columns():
    """The body is the one that azure-search-documents 12.0 sends for these fields."""
    with Server(Indexes()) as server:
        ensure_index(hotels(server), KINDS)
        ensure_index(hotels(server), KINDS)  # as it is now, it is the same
        assert [one.method for one in server.seen] == ["GET", "PUT", "GET"]
        made = server.seen[1].json
    fields = {one["name"]: one for one in made["fields"]}
    assert fields["id"] == {
        "name": "id", "type": "Edm.String", "key": True, "retrievable": True, "searchable": True, "filterable": True,
        "sortable": True, "facetable": False,
    }  # fmt: skip
    assert {name: one["type"] for name, one in fields.items()} == {
        "id": "Edm.String", "name": "Edm.String", "visits": "Edm.Int64", "price": "Edm.Double", "open": "Edm.Boolean",
        "day": "Edm.String", "at": "Edm.DateTimeOffset", "tags": "Collection(Edm.String)",
        "vector": "Collection(Edm.Single)", "owner": "Edm.ComplexType",
    }  # fmt: skip
    assert (fields["vector"]["dimensions"], fields["vector"]["vectorSearchProfile"]) == (2, "synml-vectors")
    assert fields["owner"]["fields"][0]["type"] == "Edm.Int32"
    # A text beyond 32 KB can be searched, and not filtered by.
    assert [fields[name]["filterable"] for name in ("name", "day", "tags", "visits")] == [
        True,
        False,
        False,
        True,
    ]
    assert made["vectorSearch"] == {
        "algorithms": [{"name": "synml-hnsw", "kind": "hnsw", "hnswParameters": {"metric": "cosine", "m": 4, "efConstruction": 400, "efSearch": 500}}],
        "profiles": [{"name": "synml-vectors", "algorithm": "synml-hnsw"}],
    }  # fmt: skip


OTHER = {
    "field 'visits' has type 'Edm.String' where the rows need 'Edm.Int64'": (
        "visits",
        {"type": "Edm.String"},
    ),
    "field 'vector' has dimensions 3 where the rows need 2": ("vector", {"dimensions": 3}),
    "field 'name' has key True where the rows need False": ("name", {"key": True}),
    "has no field 'price'": ("price", {"name": "cost"}),
}


@pytest.mark.parametrize("said", OTHER)
def test_an_index_with_other_fields_is_refused_and_left_alone(said):
    indexes = Indexes()
    name, changed = OTHER[said]
    with Server(indexes) as server:
        ensure_index(hotels(server), KINDS)
        fields = indexes.there["hotels"]["fields"]
        indexes.there["hotels"]["fields"] = [one | changed if one["name"] == name else one for one in fields]
        with pytest.raises(ConfigError, match=said):
            ensure_index(hotels(server), KINDS)
        assert [one.method for one in server.seen].count("PUT") == 1


def test_what_no_index_holds_is_refused_with_its_column():
    wrong = {
        "key field 'id' is text in every index, and the column 'id' is long": {"id": "long"},
        "made for 'visits', which is binary": {"visits": "binary"},
        "made for 'visits', which is decimal": {"visits": "decimal(9,2)"},
        "create.vectors.vector: the column is string": {"vector": "string"},
    }
    with Server(Indexes()) as server:
        for said, changed in wrong.items():
            with pytest.raises(ConfigError, match=said):
                ensure_index(hotels(server), KINDS | changed)
        assert server.calls == 0
        for said, told in {
            "no field 'embedding' among": {"create": {"vectors": {"embedding": 3}}},
            "vector has 2 to 4096 numbers, and not 1": {"create": {"vectors": {"vector": 1}}},
            "create has no parameter 'vector'.*Did you mean 'vectors'": {"create": {"vector": {"vector": 2}}},
            "metric": {"create": {"metric": "cosin"}},
            "create does not go with action merge": {"action": "merge"},
            "create is a mapping": {"create": True},
        }.items():
            with pytest.raises(ConfigError, match=said):
                hotels(server, **told)
    refusing = Server(lambda seen, nth: fault(403, {"error": {"message": "no such key"}}))
    with refusing as server, pytest.raises(SetupError, match="index 'hotels': HTTP 403: no such key"):
        ensure_index(hotels(server), KINDS)


def test_rows_make_their_index_and_are_written_to_it(classic_spark, tmp_path):
    indexes = Indexes()
    frame = classic_spark.createDataFrame(
        [("1", "a", [1.0, 2.0])], "id string, name string, vector array<float>"
    )
    with Server(indexes) as server:
        policy = QUICK.model_copy(update={"deadline": 600.0})
        told = hotels(server, fields=["name", "vector"], policy=policy)
        got = call_service(frame, told, output="status", journal=str(tmp_path))
        assert got.frame.first()["status"] == 201
        assert [one["name"] for one in indexes.there["hotels"]["fields"]] == ["id", "name", "vector"]
        wrong = frame.selectExpr("id", "length(name) AS name", "vector")
        sent = len(indexes.documents.batches)
        with pytest.raises(
            ConfigError, match=r"'name' has type 'Edm.String' where the rows need 'Edm.Int32'"
        ):
            call_service(wrong, hotels(server, fields=["name", "vector"], create={"vectors": {"vector": 2}}), output="status", journal=str(tmp_path))  # fmt: skip
        assert len(indexes.documents.batches) == sent


def test_an_answer_that_is_no_index_is_said_to_be_none():
    """A proxy that wants a login answers so."""
    proxy = Server(lambda seen, nth: web.Response(text="<html>Log in</html>", content_type="text/html"))
    with proxy as server, pytest.raises(SetupError, match="index 'hotels': the answer is no index"):
        ensure_index(hotels(server), KINDS)
