"""Real kills of real processes: each training ends with the right model or with one clear error, in bounded time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from synml_dagster.learners.lightgbm import LightGBMModel
from tests.cluster import standalone_cluster, stop
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names

# Processes that are killed and deadlines that are waited for take minutes, and a loaded host more.
pytestmark = pytest.mark.slow

ROUNDS, PAUSE = 12, 0.3
PATIENCE = 400  # seconds to the end of any of these; a few on a quiet host, minutes where others compute too
SLOW_HOST = 60
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def table():
    return binary_table(2000)


@pytest.fixture(scope="module")
def cluster():
    with standalone_cluster(workers=2, cores=1) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(table, tmp_path_factory):
    """Predictions of the same training that nothing happened to, on two ranks of a local session."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = Run(folder, table, "classic", "local[2]", pause=0)
    assert run.result(PATIENCE)["iterations"] == ROUNDS
    return run.predictions()


class Run:
    """A watched training in a process of its own."""

    def __init__(self, folder, table, kind, address, *, ranks=2, pause=PAUSE, checkpoint="", trouble=""):
        self.folder, self.table = folder, table
        if not (folder / "table").exists():
            as_parquet(table, folder / "table", files=2)
        (folder / "rounds").touch()
        arguments = [str(folder), kind, address, str(ranks), str(ROUNDS), str(pause), checkpoint, trouble]
        with (folder / "driver.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.learners.lightgbm.watched_training", *arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def rounds(self):
        """(process, round) in the order in which ranks began them."""
        lines = (self.folder / "rounds").read_text().splitlines()
        return [tuple(int(word) for word in line.split()) for line in lines if len(line.split()) == 2]

    def wait_for_round(self, number, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not any(done >= number for _, done in self.rounds()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def wait_for_construction(self, seconds=PATIENCE):
        """The process of the rank that fills its dataset."""
        mark, end = self.folder / "builds", time.monotonic() + seconds
        while not (mark.exists() and mark.read_text()):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)
        return int(mark.read_text())

    def rank(self, which):
        """The process of rank 0 or of another rank that boosts now."""
        lead = int((self.folder / "lead").read_text())
        if which == 0:
            return lead
        return next(pid for pid, _ in reversed(self.rounds()) if pid != lead)

    def result(self, seconds):
        end = time.monotonic() + seconds
        while not (self.folder / "result.json").exists():
            assert self.process.poll() is None, self.log()
            if time.monotonic() > end:
                stop(self.process)
                raise AssertionError(f"no end within {seconds} s:\n{self.log()}")
            time.sleep(0.1)
        self.process.wait(60)
        return json.loads((self.folder / "result.json").read_text())

    def predictions(self):
        model = LightGBMModel.load(self.folder / "model")
        return model.predict(self.table[feature_names(self.table)].to_numpy(np.float32))

    def log(self):
        return (self.folder / "driver.log").read_text()[-3000:]

    def left_behind(self, seconds=60):
        """Ranks that still run `seconds` after the end."""
        end = time.monotonic() + seconds
        pids = {pid for pid, _ in self.rounds()}
        while pids and time.monotonic() < end:
            pids = {pid for pid in pids if _boosts(pid)}
            time.sleep(0.2)
        return pids


def _boosts(pid):
    """Whether the process lives and is not merely kept by Spark for the next task."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "RDT"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("which", "number"),
    [(1, 4), (0, 4), (1, ROUNDS - 1)],
)
def test_a_killed_rank_costs_the_rounds_since_the_checkpoint(table, undisturbed, tmp_path, which, number):
    run = Run(tmp_path, table, "classic", "local[2]", checkpoint=str(tmp_path / "checkpoint"))
    run.wait_for_round(number)
    os.kill(run.rank(which), signal.SIGKILL)
    result = run.result(PATIENCE)
    assert result.get("iterations") == ROUNDS, result
    np.testing.assert_allclose(run.predictions(), undisturbed, atol=1e-6)
    assert len(result["auc"]) == ROUNDS
    second = run.rounds()[-1][0]
    assert min(done for pid, done in run.rounds() if pid == second) > 0
    assert not (tmp_path / "checkpoint" / "checkpoint.json").exists()
    assert not run.left_behind()


def _lose(run, rank, sign, undisturbed):
    """Send `sign` to a rank; the training has to end in bounded time, as if nothing had happened."""
    os.kill(rank, sign)
    began = time.monotonic()
    try:
        result = run.result(PATIENCE)
    finally:
        _end(rank)
    assert time.monotonic() - began < 60 + SLOW_HOST
    assert result.get("iterations") == ROUNDS, result
    np.testing.assert_allclose(run.predictions(), undisturbed, atol=1e-6)


def test_a_frozen_rank_is_given_up_in_bounded_time(table, undisturbed, tmp_path):
    run = Run(tmp_path, table, "classic", "local[2]", checkpoint=str(tmp_path / "checkpoint"))
    run.wait_for_round(3)
    _lose(run, run.rank(1), signal.SIGSTOP, undisturbed)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_lost_while_it_fills_its_dataset_is_replaced(table, undisturbed, tmp_path, sign):
    run = Run(tmp_path, table, "classic", "local[2]", pause=0, trouble="slow construction")
    _lose(run, run.wait_for_construction(), sign, undisturbed)


def test_a_port_that_another_process_took_costs_a_second_meeting(table, undisturbed, tmp_path):
    run = Run(tmp_path, table, "classic", "local[2]", pause=0, trouble="stolen port")
    result = run.result(PATIENCE)
    assert (tmp_path / "builds").exists()
    assert result.get("iterations") == ROUNDS, result
    np.testing.assert_allclose(run.predictions(), undisturbed, atol=1e-6)


def test_a_killed_driver_goes_on_from_the_checkpoint(table, undisturbed, tmp_path):
    checkpoint = str(tmp_path / "checkpoint")
    run = Run(tmp_path, table, "classic", "local[2]", checkpoint=checkpoint)
    run.wait_for_round(6)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait(30)
    assert not run.left_behind()
    before = {pid for pid, _ in run.rounds()}
    again = Run(tmp_path, table, "classic", "local[2]", checkpoint=checkpoint, pause=0)
    result = again.result(PATIENCE)
    assert result.get("iterations") == ROUNDS, result
    assert min(done for pid, done in again.rounds() if pid not in before) > 0
    np.testing.assert_allclose(again.predictions(), undisturbed, atol=1e-6)


@pytest.mark.cluster
@pytest.mark.parametrize("ranks", [2, 0])
def test_an_executor_that_dies_on_a_cluster_is_replaced(cluster, table, undisturbed, tmp_path, ranks):
    run = Run(
        tmp_path, table, "classic", cluster.master, ranks=ranks, checkpoint=str(tmp_path / "checkpoint")
    )
    run.wait_for_round(4)
    executor = _parent(_parent(run.rank(1)))  # rank <- pyspark.daemon <- the executor's JVM
    os.kill(executor, signal.SIGKILL)
    result = run.result(PATIENCE)
    assert result.get("iterations") == ROUNDS, result
    np.testing.assert_allclose(run.predictions(), undisturbed, atol=1e-6)
    assert not run.left_behind()


@pytest.mark.cluster
@pytest.mark.connect
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_dies_or_freezes_behind_a_connect_server(cluster, table, undisturbed, tmp_path, sign):
    address, server = cluster.start_connect_server()
    try:
        run = Run(tmp_path, table, "connect", address, checkpoint=str(tmp_path / "checkpoint"))
        run.wait_for_round(4)
        rank = run.rank(1)
        os.kill(rank, sign)
        try:
            result = run.result(PATIENCE)
        finally:
            _end(rank)
        assert result.get("iterations") == ROUNDS, result
        np.testing.assert_allclose(run.predictions(), undisturbed, atol=1e-6)
    finally:
        stop(server)


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
