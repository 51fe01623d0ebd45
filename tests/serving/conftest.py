"""Real servers on real sockets: models that were trained here, registered in a store of MLflow's own, and served by uvicorn."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synml_dagster.onnx import OnnxModel
from synml_dagster.serving import ServingApp, create_app
from synml_dagster.serving.server import bind, listeners, uvicorn_server
from tests.onnx.conftest import exported, make_table, pipelines, table  # noqa: F401


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """A connection of its own for each request, unless one is opened by `with`."""

    port: int
    _kept: http.client.HTTPConnection | None = field(default=None, init=False)

    def __enter__(self) -> Client:
        self._kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = self._kept or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        told = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            told.setdefault("content-type", "application/json")
        connection.request(method, path, body, told)
        answer = connection.getresponse()
        found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        if self._kept is None:
            connection.close()
        return found

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Any, kind: str = "application/json", **headers: str) -> Answer:
        return self.ask("POST", path, body, {"content-type": kind} | headers)

    def metric(self, series: str, /, **labels: str) -> float:
        """The value of a metric, 0 where it is not there."""
        for line in self.get("/metrics").body.decode().splitlines():
            told, _, value = line.rpartition(" ")
            if told.partition("{")[0] == series and all(f'{k}="{v}"' in told for k, v in labels.items()):
                return float(value)
        return 0


@contextmanager
def running(app: ServingApp, shutdown_seconds: float = 10) -> Iterator[Client]:
    """Serve `app` on a free port until the block is left."""
    listening = bind("127.0.0.1", 0)
    server = uvicorn_server(app, shutdown_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners(listening)}, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield Client(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(shutdown_seconds + 20)
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture
def serve():
    """Serve a model with options until the test's end; gives its client."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(running(create_app(model, **options)))


def saved(model: OnnxModel, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder)
    return folder


@pytest.fixture(scope="session")
def bundles(exported, tmp_path_factory) -> dict[str, Path]:  # noqa: F811
    """label -> a folder with its model."""
    return {
        label: saved(model, tmp_path_factory.mktemp(f"bundle-{label}")) for label, model in exported.items()
    }


@pytest.fixture(scope="session")
def second(pipelines, tmp_path_factory) -> Path:  # noqa: F811
    """Another model over the same columns: the first trees of `accepted` alone, which answer otherwise."""
    from dataclasses import replace

    from synml_dagster.export import export_pipeline

    plan, model = pipelines["accepted"]
    fewer = replace(model, text=model.booster.model_to_string(num_iteration=4))
    return saved(OnnxModel(export_pipeline(plan, fewer)), tmp_path_factory.mktemp("bundle-second"))


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A store of MLflow's own, and a function that registers a folder in it as the next version of a model."""
    from synml_dagster.resources.mlflow_store import open_client
    from synml_dagster.resources.model_registry import register

    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = open_client(uri)
    experiment = client.create_experiment("tests", artifact_location=(tmp_path / "artifacts").as_uri())

    def add(folder: Path, *aliases: str, name: str = "adult") -> str:
        run = client.create_run(experiment)
        version = register(client, run.info.run_id, name, folder, None)
        for alias in aliases:
            client.set_registered_model_alias(name, alias, version.version)
        return version.version

    return Registry(uri, client, add)


@dataclass
class Registry:
    uri: str
    client: Any
    add: Any

    def point(self, alias: str, version: str, name: str = "adult") -> None:
        self.client.set_registered_model_alias(name, alias, version)


COLUMNS = ["age", "in.come", "height", "city", "member", "joined", "seen", "weight", "visits"]


def as_json(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as a program would send them: dates and moments as text, what is missing as null."""
    told = rows.select(COLUMNS).to_pylist()
    for row in told:
        for name in ("joined", "seen"):
            row[name] = None if row[name] is None else row[name].isoformat()
    return told
