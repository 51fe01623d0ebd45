"""Vectors go to Qdrant's REST API, on a real socket, in the shapes that its own client sends; what is there in the end is what counts."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType

from synml_dagster.errors import ConfigError, DataError, SetupError
from synml_dagster.services import vectors
from synml_dagster.services.vectors.qdrant.collection import Collection
from synml_dagster.services.vectors.qdrant.points import point_id
from synml_dagster.services.vectors.qdrant.settings import QdrantSettings
from tests.services.server import Server, fault, reset

ROWS = "id bigint, text string, vector array<float>"


class Qdrant:
    """Collections as the server has them: a point is there whole, or it is refused with its request."""

    def __init__(self, **collections):
        self.vectors = dict(collections)
        self.points = {name: {} for name in collections}
        self.faults = []

    def __call__(self, seen, nth):
        if self.faults:
            return self.faults.pop(0)
        assert seen.headers.get("api-key") in (None, "s3cret")
        name, *rest = seen.path.removeprefix("/collections/").split("/")
        told = seen.json if seen.body else None
        if seen.method == "PUT" and not rest:
            if name in self.vectors:
                return fault(
                    409,
                    {"status": {"error": f"Wrong input: Collection `{name}` already exists!"}, "time": 0.0},
                )
            self.vectors[name], self.points[name] = told["vectors"], {}
            return {"result": True, "status": "ok", "time": 0.0}
        if name not in self.vectors:
            return fault(
                404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}, "time": 0.0}
            )
        if not rest:
            params = {"vectors": self.vectors[name], "shard_number": 1, "on_disk_payload": True}
            return {
                "result": {"status": "green", "points_count": 0, "config": {"params": params}},
                "status": "ok",
                "time": 0.0,
            }
        assert seen.query == {"wait": "true"}
        if rest == ["points", "delete"]:
            (one,) = told["filter"]["must_not"]
            kept = {
                k: p
                for k, p in self.points[name].items()
                if p["payload"].get(one["key"]) == one["match"]["value"]
            }
            self.points[name] = kept
        else:
            for point in told["points"]:
                uuid.UUID(point["id"])
                self.points[name][point["id"]] = point
        return {"result": {"operation_id": 0, "status": "completed"}, "status": "ok", "time": 0.0}

    def payloads(self, name):
        return sorted((p["payload"] for p in self.points[name].values()), key=lambda one: one["id"])


def options(server, **more):
    return {"url": server.url, "collection": "reviews", "key": "id"} | more


KINDS = {
    "bigint": "long", "int": "integer", "decimal(9,2)": "decimal(9,2)", "map<string,int>": {"type": "map", "keyType": "string", "valueType": "integer", "valueContainsNull": True},
    "array<float>": {"type": "array", "elementType": "float", "containsNull": True}, "array<double>": {"type": "array", "elementType": "double", "containsNull": True},
    "array<string>": {"type": "array", "elementType": "string", "containsNull": True},
}  # fmt: skip


def schema(ddl):
    """A schema without a session that reads it."""
    fields = []
    for told in re.findall(r"\w+ (?:struct<.*?>|map<.*?>|[\w<>]+(?:\(.*?\))?)", ddl):
        name, kind = told.split(" ", 1)
        if kind.startswith("struct<"):
            inner = schema(kind[7:-1].replace(":", " ").replace(",", ", "))
            kind = inner.jsonValue()
        fields.append({"name": name, "type": KINDS.get(kind, kind) if isinstance(kind, str) else kind, "nullable": True, "metadata": {}})  # fmt: skip
    return StructType.fromJson({"type": "struct", "fields": fields})


def found(server, ddl=ROWS, **more):
    return Collection.found(QdrantSettings.of(options(server, **more)), schema(ddl))


def rows(*told, **more):
    return [pa.RecordBatch.from_pylist([{"id": i, "text": t, "vector": v} for i, t, v in told], pa.schema([("id", pa.int64()), ("text", pa.string()), ("vector", pa.list_(pa.float32()))]))]  # fmt: skip


SIZED = {"size": 2, "distance": "Cosine"}


def test_a_collection_is_made_and_points_are_changed_by_their_key(monkeypatch):
    monkeypatch.setenv("SYNML_QDRANT_TEST", "s3cret")
    qdrant = Qdrant()
    with Server(qdrant) as server:
        into = found(server, dimensions="2", distance="dot", api_key_env="SYNML_QDRANT_TEST")
        assert qdrant.vectors == {"reviews": {"size": 2, "distance": "Dot"}}
        assert [(one.method, one.path) for one in server.seen] == [
            ("GET", "/collections/reviews"), ("PUT", "/collections/reviews"), ("GET", "/collections/reviews"),
        ]  # fmt: skip
        assert {one.headers["api-key"] for one in server.seen} == {"s3cret"}
        into.put(rows((7, "seven", [0.1, 2.0]), (8, None, [1.0, 0.5])), None)
        body = server.seen[-1].json
        assert body["points"][0] == {
            "id": str(point_id([7])), "vector": [0.1, 2.0], "payload": {"id": 7, "text": "seven"},
        }  # fmt: skip
        assert body["points"][1]["payload"] == {"id": 8, "text": None}
        found(server).put(rows((7, "anew", [3.0, 4.0])), None)
        assert qdrant.payloads("reviews") == [{"id": 7, "text": "anew"}, {"id": 8, "text": None}]


def test_an_id_is_the_same_everywhere():
    assert str(point_id([7])) == "27b3ce16-837d-5337-bafd-87c8d33f7295"
    assert point_id(["7"]) != point_id([7]) != point_id([7, 7])


def test_requests_hold_a_bounded_number_of_points_and_are_halved_where_they_are_too_large():
    qdrant = Qdrant(reviews=SIZED)
    with Server(qdrant) as server:
        into = found(server)
        qdrant.faults = [
            fault(413, {"status": {"error": "Payload Too Large"}}),
            reset,
            fault(503),
            fault(429, retry_after="0"),
        ]
        into.put(rows(*((i, "t", [1.0, 2.0]) for i in range(2500))), None)
        assert len(qdrant.points["reviews"]) == 2500
        sizes = [len(one.json["points"]) for one in server.seen if one.method == "PUT"]
        assert sizes == [1000, 500, 500, 500, 500, 500, 1000, 500]


def test_named_vectors_are_columns_of_their_names_and_values_keep_what_they_say():
    qdrant = Qdrant(reviews={"title": SIZED, "body": {"size": 1, "distance": "Dot"}})
    ddl = "id string, title array<double>, body array<float>, tags array<string>, day date, at timestamp, who struct<name:string,age:int>"
    with Server(qdrant) as server:
        into = found(server, ddl)
        batch = pa.RecordBatch.from_pylist(
            [{
                "id": "é\"", "title": [0.1, 1e-9], "body": None, "tags": ["a", None], "day": date(2026, 2, 3),
                "at": datetime(2026, 2, 3, 4, 5, 6, 7, UTC), "who": {"name": "Ann", "age": 3},
            }],
            pa.schema([
                ("id", pa.string()), ("title", pa.list_(pa.float64())), ("body", pa.list_(pa.float32())), ("tags", pa.list_(pa.string())),
                ("day", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("who", pa.struct([("name", pa.string()), ("age", pa.int32())])),
            ]),
        )  # fmt: skip
        into.put([batch], None)
        (point,) = qdrant.points["reviews"].values()
        assert point == {
            "id": str(point_id(['é"'])), "vector": {"title": [0.1, 1e-9]},
            "payload": {"id": 'é"', "tags": ["a", None], "day": "2026-02-03", "at": "2026-02-03T04:05:06.000007Z", "who": {"name": "Ann", "age": 3}},
        }  # fmt: skip
        only = found(server, ddl, vector="body")
        assert (only.vectors, only.sizes) == ({"body": "body"}, {"body": 1})


def test_a_vector_may_be_called_size():
    qdrant = Qdrant(reviews={"size": SIZED})
    with Server(qdrant) as server:
        into = found(server, "id bigint, size array<float>")
    assert (into.vectors, into.sizes) == ({"size": "size"}, {"size": 2})


WRONG = {
    "no collection": ({"collection": "other"}, ROWS, ConfigError, "no collection other of 127.0.0.1. Make it, or say how many"),
    "no such column": ({"key": "idd"}, ROWS, ConfigError, "no column 'idd'.* Did you mean 'id'"),
    "no vector": ({}, "id bigint, text string", ConfigError, "the rows have no list of numbers"),
    "two vectors": ({}, f"{ROWS}, other array<float>", ConfigError, "say which column it is by the option vector: vector, other"),
    "another list": ({"vector": "text"}, ROWS, ConfigError, "'text' is no list of numbers"),
    "another size": ({"dimensions": "3"}, ROWS, ConfigError, "dimensions is 3, and the vectors of reviews .* have 2 numbers"),
    "names": ({"collection": "named"}, ROWS, ConfigError, "has the vectors a, and the rows' lists of numbers are vector"),
    "a fraction as key": ({"key": "score"}, f"{ROWS}, score double", ConfigError, "key column 'score' is double"),
    "bytes": ({}, f"{ROWS}, raw binary", ConfigError, "column 'raw' holds binary"),
    "money": ({}, f"{ROWS}, price decimal(9,2)", ConfigError, "'price' holds decimal"),
    "a map": ({}, f"{ROWS}, m map<string,int>", ConfigError, "'m' holds map"),
    "its own name": ({}, f"{ROWS}, synml_write string", ConfigError, "this format's own"),
    "an option": ({"tabel": "x"}, ROWS, ConfigError, "no option 'tabel' for Qdrant"),
    "a key in the options": ({"api_key": "x"}, ROWS, ConfigError, "option api_key_env"),
    "a key in the address": ({"url": "http://k@host"}, ROWS, ConfigError, "option api_key_env"),
    "no address": ({"url": "http://"}, ROWS, ConfigError, "is no address of Qdrant"),
    "no port": ({"url": "http://host:port"}, ROWS, ConfigError, "is no address of Qdrant"),
    "half an address": ({"url": "http://[::1"}, ROWS, ConfigError, "is no address of Qdrant"),
    "a key in the query": ({"url": "http://host:6333?api_key=s3cret"}, ROWS, ConfigError, "^vectors: 'http://host:6333' is no address of Qdrant, .* without a query$"),
    "no key": ({"api_key_env": "SYNML_NOT_THERE"}, ROWS, (ConfigError, SetupError), "SYNML_NOT_THERE"),
    "a distance": ({"distance": "cosin"}, ROWS, ConfigError, "no distance 'cosin'.*Cosine"),
    "no dimensions": ({"dimensions": "0"}, ROWS, ConfigError, "1 to 65535"),
    "a name": ({"collection": "a/b"}, ROWS, ConfigError, "no name of a collection"),
    "nobody there": ({"url": "http://127.0.0.1:9"}, ROWS, SetupError, "reviews of 127.0.0.1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_before_a_point_is_sent(what, monkeypatch):
    more, ddl, error, said = WRONG[what]
    monkeypatch.setattr("synml_dagster.services.vectors.qdrant.settings.Policy", lambda **told: _quick(told))
    with Server(Qdrant(reviews=SIZED, named={"a": SIZED})) as server, pytest.raises(error, match=said):
        found(server, ddl, **more)
    assert not [one for one in server.seen if one.method != "GET"]


def _quick(told):
    from synml_dagster.services import Policy

    return Policy(first_wait=0.01, attempts=2, **told)


def test_rows_that_cannot_be_points_are_refused_with_their_column():
    qdrant = Qdrant(reviews=SIZED)
    with Server(qdrant) as server:
        into = found(server)
        for row, said in (
            ((1, "t", [1.0]), "'vector' has a vector of 1 numbers, and the collection's have 2"),
            ((1, "t", [1.0, float("nan")]), "'vector' has a vector in which a number is missing, or none"),
            ((1, "t", [1.0, None]), "'vector' has a vector in which a number is missing"),
            ((None, "t", [1.0, 2.0]), "nothing in its key column 'id'"),
        ):
            with pytest.raises(DataError, match=said):
                into.put(rows(row), None)
        qdrant.faults = [fault(400, {"status": {"error": "Wrong input: something"}, "time": 0.0})]
        with pytest.raises(DataError, match=r"reviews of 127.0.0.1: HTTP 400: Wrong input: something"):
            into.put(rows((1, "t", [1.0, 2.0])), None)
        qdrant.faults = [fault(403, {"status": {"error": "Forbidden"}, "time": 0.0})]
        with pytest.raises(SetupError, match="Forbidden"):
            into.put(rows((1, "t", [1.0, 2.0])), None)
    assert qdrant.points["reviews"] == {}


@pytest.mark.slow
def test_spark_writes_a_table_and_a_stream(spark, tmp_path):
    qdrant = Qdrant()
    with Server(qdrant) as server:
        vectors.register(spark)

        def write(mode, *told, **more):
            frame = spark.createDataFrame([(i, t, [float(i), 1.0]) for i, t in told], ROWS).repartition(2)
            frame.write.format("synml_vectors").options(**options(server, **more)).mode(mode).save()

        write("append", *((i, f"t{i}") for i in range(20)), dimensions="2")
        assert qdrant.payloads("reviews") == [{"id": i, "text": f"t{i}"} for i in range(20)]
        write("append", (3, "anew"), (3, "anew"))
        assert len(qdrant.points["reviews"]) == 20
        write("overwrite", (3, "third"), (30, "thirtieth"))
        assert [one["text"] for one in qdrant.payloads("reviews")] == ["third", "thirtieth"]
        with pytest.raises(Exception, match=r"1 rows have the key \(id\) of another row and differ"):
            write("append", (5, "one"), (5, "other"), (6, "t"))

        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.json").write_text(
            json.dumps({"id": 40, "text": "streamed", "vector": [1.0, 2.0]})
        )
        stream = spark.readStream.schema(ROWS).json(str(tmp_path / "in"))
        query = (
            stream.writeStream.format("synml_vectors").options(**options(server))
            .option("checkpointLocation", str(tmp_path / "memory")).trigger(availableNow=True).start()
        )  # fmt: skip
        query.awaitTermination(120)
        assert query.exception() is None
        assert qdrant.payloads("reviews")[-1] == {"id": 40, "text": "streamed"}
