"""A model by its alias in MLflow's registry: what is not there, the change of champions under load, and the challenger in shadow."""

from __future__ import annotations

import threading
import time

import pyarrow.dataset as ds
import pytest

from synml_dagster.errors import ConfigError, ModelError, SetupError
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.serving import create_app
from tests.serving.conftest import Client, as_json, running


def test_what_the_registry_does_not_have_is_told_with_what_it_has(registry, bundles, tmp_path):
    registry.add(bundles["accepted"], "champion")
    registry.add(bundles["accepted"], "challenger")
    for address, kind, told in [
        ("models:/adult@champoin", ModelError, "no alias 'champoin'; it has challenger (version 2), champion (version 1). Did you mean 'champion'"),
        ("models:/adlut@champion", ModelError, "has no model 'adlut'; it has adult. Did you mean 'adult'?"),
        ("models:/adult/9", ModelError, "has no version 9; it has 2, 1."),
        ("models:/adult", ConfigError, "write models:/name@alias"),
        ("models:adult@champion", ConfigError, "write models:/name@alias"),
        ("adult@champion", ConfigError, "There is no model at 'adult@champion'"),
    ]:  # fmt: skip
        with pytest.raises(kind) as problem:
            create_app(address, tracking_uri=registry.uri)
        assert told in str(problem.value)
    with pytest.raises(SetupError, match="there is no store at"):
        create_app("models:/adult@champion", tracking_uri=f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()


def test_the_alias_moves_at_200_requests_a_second_and_no_request_fails(
    registry, bundles, second, exported, table
):
    """Each answer is whole and is that of the version that its header names."""
    one, two = registry.add(bundles["accepted"], "champion"), registry.add(second)
    rows = table.slice(0, 4)
    told = {"instances": as_json(rows)}
    want = {
        one: Scorer(exported["accepted"]).score(rows).to_pylist(),
        two: Scorer(OnnxModel.load(second)).score(rows).to_pylist(),
    }
    assert want[one] != want[two]
    app = create_app("models:/adult@champion", tracking_uri=registry.uri, poll_seconds=0.1)
    seen, wrong = [], []
    with running(app) as client:
        end = time.monotonic() + 6

        def ask(worker: int) -> None:
            with Client(client.port) as mine:
                due = time.monotonic() + worker / 200
                while due < end:
                    time.sleep(max(0, due - time.monotonic()))
                    due += 4 / 200
                    answer = mine.post("/invocations", told)
                    version = answer.headers.get("x-model-version")
                    seen.append(version)
                    if answer.status != 200 or answer.json["predictions"] != want[version]:
                        wrong.append(answer)

        workers = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        for worker in workers:
            worker.start()
        for version in (two, one, two):
            time.sleep(1.2)
            registry.point("champion", version)
        for worker in workers:
            worker.join()
        assert client.get("/version").json["version"] == two
        assert client.metric("synml_model_swaps_total", role="champion") == 3
        assert client.metric("synml_model_info", version=two) == 1
    assert wrong == []
    assert set(seen) == {one, two}
    assert len(seen) > 600


def test_what_the_alias_cannot_bring_leaves_the_version_that_serves(
    registry, bundles, table, tmp_path, caplog
):
    one = registry.add(bundles["accepted"], "champion")
    app = create_app("models:/adult@champion", tracking_uri=registry.uri, poll_seconds=0.05)
    with running(app) as client:
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "model.onnx").write_bytes(b"damaged")
        registry.add(broken, "champion")
        _until(lambda: client.metric("synml_registry_polls_total", outcome="failed") >= 3)
        assert client.get("/version").json["version"] == one
        registry.client.delete_registered_model_alias("adult", "champion")
        _until(lambda: client.metric("synml_registry_polls_total", outcome="absent") >= 1)
        assert client.post("/invocations", {"instances": as_json(table.slice(0, 1))}).status == 200
        three = registry.add(bundles["grade"], "champion")
        _until(lambda: client.get("/version").json["version"] == three)
        answer = client.post("/invocations", {"instances": as_json(table.slice(0, 1))})
        assert len(answer.json["predictions"][0]["probability"]) == 3
    assert len([r for r in caplog.records if "is not an ONNX model" in r.message]) == 1, (
        "said once, not with each poll"
    )


def test_a_registry_that_hangs_is_given_up_and_costs_one_thread(registry, bundles, table, monkeypatch):
    from synml_dagster.serving.source import RegistrySource

    registry.add(bundles["accepted"], "champion")
    app = create_app(
        "models:/adult@champion", tracking_uri=registry.uri, poll_seconds=0.05, poll_deadline=0.1
    )
    free = threading.Event()
    monkeypatch.setattr(RegistrySource, "find", lambda self: free.wait(30) and None)
    with running(app) as client:
        _until(lambda: client.metric("synml_registry_polls_total", outcome="timeout") >= 3)
        assert client.metric("synml_registry_seconds_since_poll", role="champion") > 0.2
        assert len([t for t in threading.enumerate() if t.name == "synml-champion-look"]) == 1
        assert client.post("/invocations", {"instances": as_json(table.slice(0, 1))}).status == 200
    free.set()


def test_a_number_is_served_and_does_not_move(registry, bundles, second):
    registry.add(bundles["accepted"], "champion")
    two = registry.add(second)
    with running(create_app(f"models:/adult/{two}", tracking_uri=registry.uri, poll_seconds=0.05)) as client:
        registry.add(bundles["accepted"], "champion")
        time.sleep(0.3)
        assert client.get("/version").json == client.get("/version").json | {"model": "adult", "version": two}
        assert client.metric("synml_registry_polls_total") == 0


def test_the_challenger_scores_behind_the_answers_and_both_are_in_a_table(
    registry, bundles, second, exported, table, tmp_path
):
    one, two = registry.add(bundles["accepted"], "champion"), registry.add(second, "challenger")
    rows = table.slice(0, 30)
    told = [row | {"customer": f"c{i}"} for i, row in enumerate(as_json(rows))]
    log = tmp_path / "shadow"
    app = create_app(
        "models:/adult@champion", tracking_uri=registry.uri, shadow="models:/adult@challenger", shadow_log=str(log),
        shadow_keep=("customer",), shadow_seconds=0.2,
    )  # fmt: skip
    with running(app) as client:
        first = client.post("/invocations", {"instances": told[:10]}, **{"x-request-id": "r-1"})
        assert first.headers["x-request-id"] == "r-1"
        _until(lambda: client.metric("synml_shadow_rows_total", outcome="logged") == 10)
        assert len(list(log.glob("*.parquet"))) == 1, "written after shadow_seconds"
        ids = [client.post("/invocations", {"instances": [row]}).headers["x-request-id"] for row in told[10:]]
    found = ds.dataset(log).to_table().sort_by([("at", "ascending"), ("row", "ascending")])
    assert found.num_rows == 30, "what was scored when the server ended is written"
    assert found.column("request").to_pylist() == ["r-1"] * 10 + ids
    assert found.column("request_customer").to_pylist() == [f"c{i}" for i in range(30)]
    for prefix, model, version in (("", exported["accepted"], one), ("shadow_", OnnxModel.load(second), two)):
        want = Scorer(model).score(rows)
        for name in want.schema.names:
            assert found.column(prefix + name).to_pylist() == want.column(name).to_pylist()
        assert set(found.column(f"{prefix}version").to_pylist()) == {version}
    assert found.column("shadow_error").null_count == 30
    assert not [p for p in log.iterdir() if p.name.startswith(".")]


def test_a_challenger_that_is_slow_or_fails_costs_no_answer_and_is_counted(bundles, table, tmp_path):
    app = create_app(
        bundles["accepted"], shadow=str(bundles["grade"]), shadow_log=str(tmp_path / "log"), shadow_queue=5, shadow_seconds=60,
    )  # fmt: skip
    model = app.shadow.deployment.current
    slow = type(model).score
    gate = threading.Event()
    calls = []

    class Slow(type(model)):
        def score(self, rows):
            calls.append(rows)
            gate.wait(30)
            if len(calls) == 2:
                raise RuntimeError("boom")
            return slow(self, rows)

    object.__setattr__(model, "__class__", Slow)
    body = {"instances": as_json(table.slice(0, 1))}
    with running(app) as client:
        for _ in range(20):
            assert client.post("/invocations", body).status == 200
        assert client.metric("synml_shadow_rows_total", outcome="dropped") == 15
        assert client.metric("synml_shadow_rows_waiting") == 5
        gate.set()
        _until(lambda: client.metric("synml_shadow_rows_waiting") == 0)
        assert client.metric("synml_shadow_rows_total", outcome="failed") == 1
    rows = ds.dataset(tmp_path / "log").to_table().to_pylist()
    assert [row["shadow_error"] for row in rows].count("boom") == 1
    assert len(rows) == 5


def test_rows_that_cannot_be_written_are_counted(bundles, table, tmp_path):
    (tmp_path / "file").write_text("no folder")
    app = create_app(
        bundles["accepted"], shadow=str(bundles["amount"]), shadow_log=str(tmp_path / "file" / "log"), shadow_seconds=0.05,
    )  # fmt: skip
    with running(app) as client:
        assert client.post("/invocations", {"instances": as_json(table.slice(0, 2))}).status == 200
        _until(lambda: client.metric("synml_shadow_rows_total", outcome="lost") == 2)


def _until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
