"""MLflow's own server: hosts that share it take turns at a model, and one that ended in its turn holds nobody up for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import dagster as dg
import mlflow
import pytest

from synml_dagster.errors import SetupError
from synml_dagster.resources import MLflowResource
from synml_dagster.resources.registry_turns import PREFIX, registry_turn
from tests.servers import free_port, mlflow_server

HOST = """
import sys, time
from pathlib import Path
from synml_dagster.resources import MLflowResource
resource = MLflowResource(data_dir=sys.argv[1])  # of its own: no lock file is shared
shared, wanted = Path(sys.argv[2]), int(sys.argv[3])
resource.client
print("ready", flush=True)
sys.stdin.readline()
for _ in range(wanted):
    with resource.deciding("p"):
        before = int(shared.read_text())
        time.sleep(0.02)
        shared.write_text(str(before + 1))
print("done", flush=True)
"""


FIRST = """
import sys, time
from pathlib import Path
from synml_dagster.resources import MLflowResource
from synml_dagster.resources.model_registry import register
resource, name, before = MLflowResource(data_dir=sys.argv[1]), sys.argv[2], sys.argv[3] == "before"
folder = Path(sys.argv[1])
folder.mkdir()
(folder / "model.onnx").write_text("x")
run = resource.client.create_run("0").info.run_id
print("ready", flush=True)
sys.stdin.readline()
holder = resource.champion(name)  # nobody, as of each of them
version = register(resource.client, run, name, folder, None) if before else None
with resource.deciding(name):
    meanwhile = resource.champion(name)
    time.sleep(0.5)  # the others come meanwhile
    if meanwhile is None and holder is None:
        resource.promote(name, version or register(resource.client, run, name, folder, None))
    print("gave way" if meanwhile else "promoted", flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        mlflow.MlflowClient(address, address).create_registered_model("p")
        yield address


def hosts_at_once(uri, script, each):
    """What processes say that begin at one moment, as hosts of their own."""
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env=os.environ | {"MLFLOW_TRACKING_URI": uri},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for arguments in each
    ]  # fmt: skip
    assert [host.stdout.readline() for host in hosts] == ["ready\n"] * len(hosts)
    for host in hosts:
        host.stdin.write("go\n")
        host.stdin.flush()
    return [host.communicate(timeout=300)[0] for host in hosts]


@pytest.mark.slow
def test_hosts_that_share_a_server_decide_one_at_a_time(server, tmp_path):
    shared = tmp_path / "count"
    shared.write_text("0")
    said = hosts_at_once(server, HOST, [[str(tmp_path / f"host{i}"), str(shared), "4"] for i in range(3)])
    assert said == ["done\n"] * 3
    assert shared.read_text() == "12"
    model = mlflow.MlflowClient(server, server).get_registered_model("p")
    assert not [key for key in model.tags if key.startswith(PREFIX)]


def first_champions(folder, uri, name, when):
    """Three hosts register the first versions of a model at once, and each would promote its own."""
    said = hosts_at_once(uri, FIRST, [[str(folder / f"{when}{i}"), name, when] for i in range(3)])
    return sorted(line.strip() for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["server", "one SQLite file"])
def test_of_the_first_versions_of_a_model_one_is_promoted(request, tmp_path, store):
    uri = request.getfixturevalue("server") if store == "server" else f"sqlite:///{tmp_path}/shared.db"
    client = mlflow.MlflowClient(uri, uri)
    client.search_experiments()  # the file's tables are there
    for when, versions in (("before", 3), ("within", 1)):
        name = f"first {when}"
        assert first_champions(tmp_path, uri, name, when) == ["gave way", "gave way", "promoted"]
        assert len(client.search_model_versions(f"name='{name}'")) == versions
        champion = client.get_model_version_by_alias(name, "champion")
        assert champion.tags["synml.promoted"] == "true"
        assert not [key for key in client.get_registered_model(name).tags if key.startswith(PREFIX)]


@pytest.mark.slow
def test_a_host_that_ends_in_its_turn_is_passed_and_one_that_lives_is_not(server, tmp_path):
    client, late = mlflow.MlflowClient(server, server), SetupError("late")
    code = f"""
import time, mlflow
from synml_dagster.errors import SetupError
from synml_dagster.resources.registry_turns import registry_turn
with registry_turn(mlflow.MlflowClient({server!r}, {server!r}), "p", SetupError("late"), dead_after=3):
    print("inside", flush=True)
    time.sleep(600)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "inside\n"
        with (
            pytest.raises(SetupError, match="late"),
            registry_turn(client, "p", late, seconds=8, dead_after=3),
        ):
            pass
        os.kill(other.pid, signal.SIGKILL)
        began = time.monotonic()
        with registry_turn(client, "p", late, seconds=60, dead_after=3):
            assert 2 < time.monotonic() - began < 30
    finally:
        other.kill()
        other.wait(30)
    assert not [key for key in client.get_registered_model("p").tags if key.startswith(PREFIX)]


@pytest.mark.slow
def test_a_server_that_is_away_for_a_while_costs_no_run(tmp_path):
    port, up = free_port(), ExitStack()
    address = up.enter_context(mlflow_server(tmp_path, port))

    def back():
        up.enter_context(mlflow_server(tmp_path, port))

    @dg.asset
    def model(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            run.log_metrics({"before": 1.0})
            up.pop_all().close()
            later = threading.Timer(20, back)
            later.start()
            began = time.monotonic()
            run.log_metrics({"after": 2.0})
            assert time.monotonic() - began > 15
            later.join()

    try:
        resource = MLflowResource(tracking_uri=address, data_dir=str(tmp_path / "data"))
        done = dg.materialize(
            [model], resources={"mlflow": resource}, instance=dg.DagsterInstance.ephemeral()
        )
        assert done.success
        client = mlflow.MlflowClient(address, address)
        found = client.search_runs([e.experiment_id for e in client.search_experiments()])
        assert [run.data.metrics for run in found] == [{"before": 1.0, "after": 2.0}]
    finally:
        up.close()


def test_one_at_a_time_by_tags_alone(tmp_path, monkeypatch):
    """The same on a file, between threads, with what other programs left in the tags."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client, late = MLflowResource(data_dir=str(tmp_path)).client, SetupError("late")
    with registry_turn(client, "p", late):  # nothing of that name yet
        assert not client.get_registered_model("p").latest_versions
    client.set_registered_model_tag("p", f"{PREFIX}left", "what is this")
    inside, most, count = [0], [0], [0]

    def host():
        for _ in range(3):
            with registry_turn(client, "p", late, dead_after=1):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.01)
                count[0] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=host) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, count) == ([1], [9])
    assert not client.get_registered_model("p").tags
