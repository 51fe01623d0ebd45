"""The two programs of the page about streams, run as they stand: what arrives is scored once, by the champion of the moment."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter

import dagster as dg
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException

from synml_dagster.onnx import OnnxModel, Scorer
from tests.docs.test_docs import ROOT, blocks
from tests.onnx.conftest import exported, pipelines, table  # noqa: F401
from tests.serving.conftest import saved


def program(mark: str) -> dict:
    (block,) = [b for b in blocks("python") if b.page == ROOT / "docs/how-to/streams.md" and b.mark == mark]
    space: dict = {"__name__": "page"}
    exec(compile(block.text, str(block), "exec"), space)
    return space


@pytest.fixture(params=["classic", pytest.param("connect", marks=pytest.mark.connect)])
def session(request, monkeypatch):
    """The session that the programs find: the one in this process, or a Connect server's."""
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    found = request.getfixturevalue("classic_spark")
    if request.param == "connect":
        monkeypatch.delenv("SPARK_MASTER")
        monkeypatch.setenv("SPARK_REMOTE", request.getfixturevalue("connect_server"))
        monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
        found = request.getfixturevalue("connect_spark")
    return found


@pytest.fixture
def champion(session, exported, pipelines, tmp_path, monkeypatch):  # noqa: F811
    """A data directory with a registry of two versions of `adult`, and the function that makes one of them champion."""
    from dataclasses import replace

    from synml_dagster.export import export_pipeline
    from synml_dagster.resources import MLflowResource
    from synml_dagster.resources.model_registry import register

    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plan, model = pipelines["accepted"]
    fewer = OnnxModel(
        export_pipeline(plan, replace(model, text=model.booster.model_to_string(num_iteration=4)))
    )
    mlflow = MLflowResource()
    experiment = mlflow.client.create_experiment(
        "streams", artifact_location=(tmp_path / "artifacts").as_uri()
    )
    models = {}
    for i, graph in enumerate((exported["accepted"], fewer)):
        run = mlflow.client.create_run(experiment)
        version = register(
            mlflow.client, run.info.run_id, "adult", saved(graph, tmp_path / f"bundle-{i}"), None
        )
        models[version.version] = graph
    return models, lambda number: mlflow.set_alias("adult", "champion", number)


def scores(session, folder: str) -> dict:
    """id -> (version, probability), read as the page says; no row twice."""
    rows = session.read.parquet(folder).select("id", "model_version", "probability").collect()
    assert max(Counter(row[0] for row in rows).values()) == 1
    return {row[0]: tuple(row[1:]) for row in rows}


def test_a_schedule_scores_what_has_arrived(session, champion, table, tmp_path):  # noqa: F811
    models, promote = champion
    page = program("scheduled")
    (tmp_path / "data" / "arrivals").mkdir()
    done = {}
    for number, (first, last) in {"1": (0, 100), "2": (100, 250)}.items():
        promote(number)
        pq.write_table(table.slice(first, last - first), tmp_path / "data" / "arrivals" / f"{first}.parquet")
        with dg.DagsterInstance.ephemeral() as instance:
            assert (
                page["defs"]
                .resolve_implicit_global_asset_job_def()
                .execute_in_process(instance=instance)
                .success
            )
            again = page["defs"].resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        made = again.asset_materializations_for_node("scored_arrivals")[0].metadata
        assert (made["rows"].value, made["champion version"].value) == (0, number), (
            "nothing new is scored again"
        )
        want = (
            Scorer(models[number]).score(table.slice(first, last - first)).column("probability").to_pylist()
        )
        ids = table.column("id").to_pylist()[first:last]
        done |= {i: (number, p) for i, p in zip(ids, want, strict=True)}
        assert scores(session, str(tmp_path / "data" / "scored_arrivals")) == done


@pytest.mark.parametrize(
    "session", ["classic"], indirect=True
)  # a thread finds no Connect session beside a classic one
def test_a_query_that_stays_takes_up_another_champion_and_scores_each_row_once(
    session,
    champion,
    table,  # noqa: F811
    tmp_path,
):
    models, promote = champion
    page = program("long-lived")
    arrivals = tmp_path / "data" / "arrivals"
    arrivals.mkdir()
    pq.write_table(table.slice(0, 20), arrivals / "0.parquet")
    promote("1")
    problems = []

    def stay():
        try:
            page["run"](every="0 seconds", look=0.2)
        except Exception as problem:
            problems.append(problem)

    thread = threading.Thread(target=stay)
    thread.start()

    def until(rows: int):
        end = time.monotonic() + 90
        while True:
            assert not problems, problems
            assert time.monotonic() < end
            with contextlib.suppress(AnalysisException):  # nothing has been written yet
                found = scores(session, str(tmp_path / "data" / "scored_stream"))
                if len(found) == rows:
                    return found
            time.sleep(0.3)

    until(20)
    promote("2")
    for i in range(1, 6):  # while it restarts
        pq.write_table(table.slice(20 * i, 20), arrivals / f"{i}.parquet")
        time.sleep(0.3)
    until(120)
    pq.write_table(table.slice(120, 20), arrivals / "6.parquet")
    found = until(140)
    page["ended"].set()
    thread.join(30)
    assert not thread.is_alive()
    assert not problems
    assert {version for version, _ in found.values()} == {"1", "2"}
    ids = table.column("id").to_pylist()
    assert [found[i][0] for i in ids[:20]] == ["1"] * 20
    assert [found[i][0] for i in ids[120:140]] == ["2"] * 20
    for number, model in models.items():
        want = Scorer(model).score(table.slice(0, 140)).column("probability").to_pylist()
        for i, p in zip(ids[:140], want, strict=True):
            if found[i][0] == number:
                assert found[i][1] == p
