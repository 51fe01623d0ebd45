"""One Spark session of each kind for the whole run: classic in this process, Connect on a server beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Many small queries, each run a few times: Java's second compiler takes a third of all processor time and is repaid by none.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="session")
def connect_server() -> Iterator[str]:
    """The address of a real Spark Connect server in a process of its own."""
    from tests.servers import connect_server

    with connect_server() as address:
        yield address


@pytest.fixture(scope="session")
def classic_spark():
    from synml_dagster.spark import SparkSettings, open_session

    session = open_session(SparkSettings(master="local[2]"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def connect_spark(connect_server: str):
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(connect_server).create()
    yield session
    session.stop()


@pytest.fixture(params=["classic", pytest.param("connect", marks=pytest.mark.connect)])
def spark(request, monkeypatch):
    """Each test that asks for `spark` runs once on classic Spark and once on Connect."""
    request.getfixturevalue("classic_spark")  # opened first: the variable would make it a Connect session
    session = request.getfixturevalue(f"{request.param}_spark")
    if request.param == "connect":
        # `pyspark.sql.functions` asks the process, not the session, which kind of column to build; this one is both.
        monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    return session
