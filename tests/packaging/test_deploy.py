"""The files of `deploy/`: they hold together, and the services of `compose.yaml` run a pipeline, here as processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.packaging.conftest import CHECKOUT
from tests.servers import free_port, postgres_server, server_process, wait_for_port

DEPLOY = CHECKOUT / "deploy"
PASSWORD = "s3cret"
SERVICE_KEYS = {
    "image", "build", "init", "restart", "environment", "volumes", "command", "ports", "depends_on", "healthcheck",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture(scope="module")
def compose():
    """`compose.yaml` as compose reads it, with the variables of `.env` filled in."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    given = {"POSTGRES_PASSWORD": PASSWORD}

    def fill(found):
        name, _, default = found.group(1).partition(":")
        return given.get(name, default.removeprefix("-"))

    return yaml.safe_load(re.sub(r"\$\{([^}]+)\}", fill, text))


def test_the_compose_file_says_only_what_compose_knows_and_what_is_there(compose):
    assert set(compose) <= {"name", "services", "volumes"} | {k for k in compose if k.startswith("x-")}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("healthcheck", {})) <= HEALTH_KEYS, name
        assert all(isinstance(v, str) for v in service.get("environment", {}).values()), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in compose["services"][other], f"{name} waits for the health of {other}"
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:"), f"{name} is open to the network"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume


@pytest.mark.parametrize("file", ["Dockerfile", "serving.Dockerfile"])
def test_what_the_image_copies_is_there_and_not_ignored(file):
    ignore = (DEPLOY / f"{file}.dockerignore").read_text().split()
    kept = [line[1:] for line in ignore if line.startswith("!")]
    for line in (DEPLOY / file).read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in [w for w in line.split()[1:-1] if not w.startswith("--")]:
                assert (CHECKOUT / source).exists(), line
                assert any(Path(source).match(k) or source.split("/")[0] == k for k in kept), line


@contextmanager
def postgres(port: int, script: Path):
    """Run a PostgreSQL of its own as the image does: the user, the database of Dagster, and then the script."""
    with postgres_server(port, "synml", PASSWORD) as psql:
        psql("--dbname=postgres", "--command=CREATE DATABASE dagster")
        psql("--dbname=dagster", f"--file={script}")
        yield


class Dagster:
    """The webserver's GraphQL."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
        assert not told.get("errors"), told
        return told["data"]

    def run(self, job: str, seconds: float) -> str:
        """Launch a job as a click in the UI does, wait for its end, and return its status."""
        selector = {
            "jobName": job,
            "repositoryName": "__repository__",
            "repositoryLocationName": "pipelines",
        }
        told = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {"
            " __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p={"selector": selector, "runConfigData": {}},
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.ask(
                "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }",
                id=told["run"]["runId"],
            )["runOrError"]["status"]
            if status in ("SUCCESS", "FAILURE", "CANCELED"):
                return status
            time.sleep(1)
        raise TimeoutError(f"{job} was {status} after {seconds} s")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_services_of_the_compose_file_run_a_pipeline_together(compose, installed, tmp_path):
    ports = {
        name: free_port()
        for name in ("postgres:5432", "mlflow:5000", "spark:15002", "code:4000", "webserver:3000")
    }
    srv = tmp_path / "srv"

    def here(text: str) -> str:
        """What a container is told, told to a process of this host."""
        for place, port in ports.items():
            host, _, inside = place.partition(":")
            text = text.replace(f"@{place}", f"@127.0.0.1:{port}").replace(
                f"//{place}", f"//127.0.0.1:{port}"
            )
            text = re.sub(rf"(port[=: .]+){inside}\b", rf"\g<1>{port}", text)
            text = text.replace(f"host: {host}\n", "host: 127.0.0.1\n")
        return text.replace("0.0.0.0", "127.0.0.1").replace("/srv/", f"{srv}/")

    for folder in ("data", "mlflow", "dagster", "project/assets/visits"):
        (srv / folder).mkdir(parents=True)
    for name in ("dagster.yaml", "workspace.yaml", "spark.conf"):
        (srv / "dagster" / name).write_text(here((DEPLOY / name).read_text()))
    shutil.copy(CHECKOUT / "definitions.py", srv / "project")
    (srv / "project" / "pyproject.toml").write_text(
        "[tool.dg]\ndirectory_type = 'project'\n[tool.dg.project]\nroot_module = 'assets'\ndefs_module = 'assets'\n"
    )
    (srv / "project" / "assets" / "__init__.py").write_text("")
    (srv / "project" / "assets" / "visits" / "defs.yaml").write_text(
        "type: synml_dagster.MLPipelineComponent\nattributes:\n  name: visits\n  source: visits.csv\n  label: bought\n"
        "  sweep: {trials: 2}\n"
    )
    (srv / "project" / "visits.csv").write_text(
        "a,b,bought\n" + "".join(f"{i % 17},{i % 5},{'yes' if i % 17 > 8 else 'no'}\n" for i in range(600))
    )
    image = {
        "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(srv / "dagster"),
        "SYNML_DATA_DIR": str(srv / "data"),
        "PYSPARK_PYTHON": str(installed / "python"),
        "HOME": str(tmp_path),
    } | {k: v for k, v in os.environ.items() if k in ("JAVA_HOME", "LANG", "OPENBLAS_CORETYPE")}

    with ExitStack() as running:
        running.enter_context(postgres(ports["postgres:5432"], DEPLOY / "postgres.sql"))
        for name in ("mlflow", "spark", "code", "webserver", "daemon"):
            service = compose["services"][name]
            told = {k: here(v) for k, v in service.get("environment", {}).items()}
            log = tmp_path / f"{name}.log"
            command = [here(c) for c in service["command"]]
            if name == "mlflow":
                command[-1] += f",127.0.0.1:{ports['mlflow:5000']}"
            started = running.enter_context(
                server_process(
                    log,
                    [str(installed / command[0]), *command[1:]],
                    env=image | told,
                    cwd=srv / "project",
                )
            )
            port = next((p for place, p in ports.items() if place.startswith(f"{name}:")), None)
            if port:
                wait_for_port(port, started, 180, log)
        # Compose's other services call MLflow by its name; a stranger's name is turned away.
        for host, status in (("mlflow:5000", 200), ("evil.example", 403)):
            request = urllib.request.Request(
                f"http://127.0.0.1:{ports['mlflow:5000']}/api/2.0/mlflow/experiments/get?experiment_id=0",
                headers={"Host": host},
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    got = answer.status
            except urllib.error.HTTPError as refused:
                got = refused.code
            assert got == status, host

        dagster = Dagster(ports["webserver:3000"])
        logs = "\n".join(
            f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in tmp_path.glob("*.log")
        )
        assert dagster.run("visits_train", 600) == "SUCCESS", logs
        assert dagster.run("visits_score", 300) == "SUCCESS", logs

        with urllib.request.urlopen(
            f"http://127.0.0.1:{ports['mlflow:5000']}/api/2.0/mlflow/registered-models/alias?name=visits&alias=champion",
            timeout=60,
        ) as answer:
            champion = json.load(answer)["model_version"]
        assert champion["source"].startswith(("mlflow-artifacts:", "models:")), champion["source"]
        materialized = dagster.ask(
            'query { assetOrError(assetKey: {path: ["visits", "predictions"]}) { ... on Asset {'
            " assetMaterializations { runId } } } }"
        )["assetOrError"]["assetMaterializations"]
        assert len(materialized) == 2
        assert list((srv / "data" / "visits").rglob("*.parquet"))
