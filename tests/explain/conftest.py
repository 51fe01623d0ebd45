"""The `spark` fixture for code that builds columns."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["classic", pytest.param("connect", marks=pytest.mark.connect)])
def spark(request, monkeypatch):
    """Each test that asks for `spark` runs once on classic Spark and once on Connect."""
    session = request.getfixturevalue(f"{request.param}_spark")
    if request.param == "connect":
        # Set by pyspark in every process that is a Connect client; this process is both kinds at once, and
        # `pyspark.sql.functions` decides by it which kind of column to build.
        monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    return session
