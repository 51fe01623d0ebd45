"""Rows become documents of Azure AI Search: each with its own status, and a writing that was cut off goes on."""

from __future__ import annotations

import math

import pytest
from aiohttp import web

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.services import Budget, Policy, azure, call_service
from tests.services.driving import drive
from tests.services.server import Server, fault

QUICK = Policy(first_wait=0.01, longest_wait=0.05, deadline=20, retry=(408, 409, 422, 500, 502, 503, 504))

SLOW = QUICK.model_copy(update={"deadline": 600.0})


class Index:
    """An index that refuses what the service refuses: `statuses` are the statuses of a document's first writings."""

    def __init__(self, statuses=None):
        self.documents, self.statuses, self.batches = {}, statuses or {}, []

    def __call__(self, seen, nth):
        assert (seen.method, seen.path, seen.query) == (
            "POST", "/indexes('hotels')/docs/search.index", {"api-version": "2026-04-01"},
        )  # fmt: skip
        batch = seen.json["value"]
        self.batches.append([one["id"] for one in batch])
        if len(seen.body) > 2_100_000:
            return fault(413, {"error": {"message": "too large"}})
        if any("!" in one["id"] for one in batch):
            return fault(400, {"error": {"code": "", "message": "Invalid document key"}})
        told = []
        for one in batch:
            left = self.statuses.get(one["id"], [])
            status = left.pop(0) if left else 200 if one["id"] in self.documents else 201
            if status < 300:
                self.documents[one["id"]] = self.documents.get(one["id"], {}) | one
            message = None if status < 300 else f"said {status}"
            told.append(
                {"key": one["id"], "status": status < 300, "errorMessage": message, "statusCode": status}
            )
        good = all(one["status"] for one in told)
        return web.json_response({"value": told[::-1]}, status=200 if good else 207)


def hotels(server, **more):
    told = {"index": "hotels", "id": "id", "fields": ["id", "name", "vector"], "key": None, "policy": QUICK}
    return azure.service("azure.search.documents", endpoint=server.url, **(told | more))


def row(i, name="x"):
    return {"id": str(i), "name": name, "vector": [0.5, float(len(str(i)))]}


def test_documents_go_together_and_each_has_its_own_end(tmp_path):
    index = Index({"3": [503, 409], "7": [429], "5": [400], "9": [503] * 9})
    with Server(index) as server:
        rows = [row(i) for i in range(2500)] + [
            row("bad!"),
            {**row(""), "id": None},
            {**row(8888), "name": None},
        ]
        rows.append({**row(9999), "vector": [math.nan]})
        got = drive(hotels(server), rows, tmp_path, kind=None)
    assert [len(batch) for batch in index.batches if len(batch) > 2] != []
    assert max(map(len, index.batches)) == 1000
    failed = {i: (line["reason"], line["status"]) for i, line in enumerate(got.lines) if line["reason"]}
    assert failed == {
        5: ("invalid", 400), 9: ("unavailable", 503), 2500: ("invalid", 400), 2501: ("input", None), 2503: ("input", None),
    }  # fmt: skip
    assert got.lines[5]["message"] == "the document was refused: said 400"
    assert len(got.values) == len(rows) - 5
    assert set(index.documents) == {str(i) for i in range(2500) if i not in (5, 9)} | {"8888"}
    assert index.documents["8888"] == {
        "@search.action": "mergeOrUpload",
        "id": "8888",
        "name": None,
        "vector": [0.5, 4.0],
    }
    # What was taken is not sent again with what was not.
    assert [batch for batch in index.batches if "3" in batch][1:] == [["3", "7", "9"], ["3", "9"]]
    assert sum("9" in batch for batch in index.batches) == QUICK.attempts
    assert got.total("calls") == server.calls
    assert got.lines[3]["attempts"] == 3
    assert got.total("throttled") == 1


def test_a_request_that_is_too_large_is_halved(tmp_path):
    with Server(Index()) as server:
        rows = [row(i, "x" * 100_000) for i in range(40)]
        got = drive(hotels(server), rows, tmp_path)
        assert server.calls == 3
        assert got.reasons == [None] * 40


def test_a_full_or_broken_service_is_asked_again_as_a_whole(tmp_path):
    index = Index()

    def answer(seen, nth):
        return {1: fault(503, retry_after="0.02"), 2: fault(429, retry_after="0.02")}.get(nth) or index(
            seen, nth
        )

    with Server(answer) as server:
        got = drive(hotels(server), [row(1), row(2)], tmp_path)
    assert got.reasons == [None, None]
    assert got.total("calls") == 3


def test_a_delete_sends_keys_alone(tmp_path):
    with Server(Index()) as server:
        asked = azure.service(
            "azure.search.documents", endpoint=server.url, index="hotels", id="id", action="delete", key=None
        )
        assert asked.inputs == ["id"]
        drive(asked, [{"id": "1"}], tmp_path)
        assert server.seen[0].json == {"value": [{"@search.action": "delete", "id": "1"}]}


@pytest.mark.slow
def test_each_writing_writes_what_the_table_says_and_one_that_was_cut_off_goes_on(spark, tmp_path):
    index = Index()

    def written(rows, **more):
        frame = spark.createDataFrame(rows, "id string, name string, vector array<float>")
        return call_service(
            frame, hotels(server, policy=SLOW), output="status", journal=str(tmp_path), **more
        )

    with Server(index) as server:
        first, second = [("1", "a", [1.0]), ("2", "b", None)], [("1", "c", [1.0]), ("2", "b", None)]
        got = written(first)
        assert {r["id"]: r["status"] for r in got.frame.collect()} == {"1": 201, "2": 201}
        written(second)
        assert index.documents["1"]["name"] == "c"
        written(first)  # as it was before, and the index has to become so again
        assert index.documents["1"]["name"] == "a"
        before = server.calls
        many = [(str(i), "n", None) for i in range(2500)]
        part = written(many, budget=Budget(requests=2))
        assert part.report.reasons == {"budget": 500}
        rest = written(many)
        assert (rest.report.resumed, rest.report.calls, server.calls - before) == (2000, 1, 3)
        assert rest.frame.where("status = 201").count() == 2498
        with pytest.raises(DataError, match="several different rows have the same 'id', such as '1'"):
            written([*first, *second])
        assert server.calls == before + 3


REFUSED = {
    "no action 'append'": {"action": "append"},
    "needs fields": {"fields": None},
    "no name of an index": {"index": "My Index"},
    "no parameter 'indx'.*Did you mean 'index'": {"indx": "x"},
    "needs id": {"id": ...},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_with_its_name(said):
    told = {"endpoint": "https://e.search.windows.net", "index": "hotels", "id": "id", "fields": ["name"]}
    told |= REFUSED[said]
    with pytest.raises(ConfigError, match=said):
        azure.service("azure.search.documents", **{k: v for k, v in told.items() if v is not ...})


def test_the_key_has_the_header_that_the_service_reads():
    told = {
        "endpoint": "https://e.search.windows.net",
        "index": "hotels",
        "id": "id",
        "fields": {"name": "title"},
    }
    asked = azure.service("azure.search.documents", **told, key="MINE")
    assert (asked.key.env, asked.key.header) == ("MINE", "api-key")
    assert asked.inputs == ["id", "title"]
