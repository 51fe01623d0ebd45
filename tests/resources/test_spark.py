"""The Spark resource: one session for the process, and no job that outlives its step."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from synml_dagster.resources import SparkResource
from synml_dagster.spark import is_connect


@pytest.fixture
def resource(spark, connect_server) -> SparkResource:
    return SparkResource(remote=connect_server) if is_connect(spark) else SparkResource(master="local[2]")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def message(result) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return event.step_failure_data.error.to_string()


def wait_until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.1)


def beats(path: Path, seconds: float = 120):
    """A Spark function whose one task shows that it is alive by letting a file grow."""

    def beat(batches):
        for batch in batches:
            end = time.time() + seconds
            while time.time() < end:
                with open(path, "a") as out:
                    out.write(".")
                time.sleep(0.1)
            yield batch

    return beat


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def has_stopped(path: Path) -> bool:
    before = size(path)
    time.sleep(2)
    return size(path) == before


def test_steps_share_the_session_and_tag_their_jobs(resource, instance):
    seen = {}

    @dg.asset
    def first(spark: SparkResource) -> None:
        seen["first"] = (spark.session, set(spark.session.getTags()))

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext, spark: SparkResource) -> None:
        assert spark.session.range(3).count() == 3
        assert spark.pyspark_resource.spark_session is spark.spark_session
        seen["second"] = (spark.session, set(spark.session.getTags()))

    result = dg.materialize([first, second], resources={"spark": resource}, instance=instance)
    assert seen["first"][0] is seen["second"][0]
    assert seen["first"][1] == {f"dagster-{result.run_id}-first"}
    assert seen["second"][1] == {f"dagster-{result.run_id}-second"}


def test_a_failed_step_leaves_no_job_behind(resource, instance, tmp_path):
    pulse = tmp_path / "pulse"

    @dg.asset
    def broken(spark: SparkResource) -> None:
        session = spark.session
        frame = session.range(0, 1, 1, 1).mapInArrow(beats(pulse), "id long")

        tags = session.getTags()

        def work() -> None:
            for tag in tags:  # a thread of its own starts without them
                session.addTag(tag)
            try:
                frame.collect()
            except Exception:
                return

        threading.Thread(target=work, daemon=True).start()
        wait_until(lambda: size(pulse) > 3)
        raise ValueError("boom")

    result = dg.materialize([broken], resources={"spark": resource}, instance=instance, raise_on_error=False)
    assert "boom" in message(result)
    assert size(pulse) > 3
    wait_until(lambda: has_stopped(pulse), 30)


def test_settings_come_from_the_environment_and_conflicts_are_refused(resource, instance, monkeypatch):
    monkeypatch.setenv("WANTED_PARTITIONS", "7")

    @dg.asset
    def asks(spark: SparkResource) -> str:
        return spark.session.conf.get("spark.sql.shuffle.partitions")

    tuned = SparkResource(
        master=resource.master,
        remote=resource.remote,
        conf={"spark.sql.shuffle.partitions": dg.EnvVar("WANTED_PARTITIONS")},
    )
    result = dg.materialize([asks], resources={"spark": tuned}, instance=instance)
    assert result.output_for_node("asks") == "7"
    fixed = SparkResource(master=resource.master, remote=resource.remote, conf={"spark.task.cpus": "2"})
    result = dg.materialize([asks], resources={"spark": fixed}, instance=instance, raise_on_error=False)
    assert "ConfigError: spark: spark.task.cpus is" in message(result)
    assert "cannot be changed to '2'" in message(result)


def test_a_java_that_is_not_there_is_the_steps_own_error(monkeypatch, instance, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    @dg.asset
    def asks(spark: SparkResource) -> None:
        spark.session.range(1).count()

    resources = {"spark": SparkResource(master="local[2]")}
    result = dg.materialize([asks], resources=resources, instance=instance, raise_on_error=False)
    assert "SetupError: JAVA_HOME is" in message(result)


def test_a_resource_that_is_not_used_starts_nothing(instance):
    @dg.asset
    def asks(spark: SparkResource) -> None:
        pass

    resources = {"spark": SparkResource(remote="sc://127.0.0.1:9")}
    assert dg.materialize([asks], resources=resources, instance=instance).success


_CANCELLED = """
import sys, time
import dagster as dg
from synml_dagster.resources import SparkResource

PULSE = {pulse!r}

@dg.asset
def long(spark: SparkResource) -> None:
    def beat(batches):  # within the asset, so that it travels by value: a server cannot import this script
        import time
        for batch in batches:
            end = time.time() + 120
            while time.time() < end:
                with open(PULSE, "a") as out:
                    out.write(".")
                time.sleep(0.1)
            yield batch

    spark.session.range(0, 1, 1, 1).mapInArrow(beat, "id long").collect()

defs = dg.Definitions(
    assets=[long],
    jobs=[dg.define_asset_job("long_job")],
    resources={{"spark": SparkResource(master={master!r}, remote={remote!r})}},
)

def job():
    return defs.resolve_job_def("long_job")

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        try:
            dg.execute_job(
                dg.reconstructable(job),
                instance=instance,
                run_config={{"execution": {{"config": {{{executor!r}: {{}}}}}}}},
                raise_on_error=False,
            )
        finally:
            (run,) = instance.get_runs()
            print("STATUS", run.status.value, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
@pytest.mark.parametrize("kind", ["classic", pytest.param("connect", marks=pytest.mark.connect)])
def test_a_cancelled_run_stops_its_spark_job(kind, executor, connect_server, tmp_path):
    """On Connect the server and its task live on after the client; only the interrupt ends them."""
    pulse = tmp_path / "pulse"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    script = tmp_path / "cancelled.py"
    master, remote = ("local[1]", None) if kind == "classic" else (None, connect_server)
    script.write_text(
        textwrap.dedent(_CANCELLED).format(pulse=str(pulse), master=master, remote=remote, executor=executor)
    )
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path / "home"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    environment.pop("SPARK_CONNECT_MODE_ENABLED", None)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script)], stdout=log, stderr=log, cwd=tmp_path, env=environment
        )
        try:
            wait_until(lambda: size(pulse) > 3 or process.poll() is not None, 240)
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            # What Dagster does when somebody cancels a run: it notes the wish, then sends the signal.
            with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
                (run,) = instance.get_runs()
                instance.report_run_canceling(run)
            process.send_signal(signal.SIGINT)
            process.wait(90)
        finally:
            if process.poll() is None:
                process.kill()
    told = (tmp_path / "log").read_text()
    assert "STATUS CANCELED" in told, told[-3000:]
    wait_until(lambda: has_stopped(pulse), 30)
