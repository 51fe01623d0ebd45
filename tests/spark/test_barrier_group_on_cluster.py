"""What a member of a barrier group is given on a real cluster of several workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import standalone_cluster, stop

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def cluster():
    with standalone_cluster(workers=2, cores=2) as started:
        yield started


def told(address, size, cpus):
    command = [sys.executable, "-m", "tests.spark.barrier_group_on_cluster", address, str(size), str(cpus)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("size", [1, 2])
def test_members_keep_the_cores_that_they_ask_for(cluster, size):
    members = told(cluster.master, size, 2)
    assert [m["cpus"] for m in members] == [2] * size
    assert len({m["executor"] for m in members}) == size


def test_a_connect_server_gives_them_too(cluster):
    address, server = cluster.start_connect_server()
    try:
        members = told(address, 2, 2)
    finally:
        stop(server)
    assert [m["cpus"] for m in members] == [2, 2]
    assert len({m["executor"] for m in members}) == 2
