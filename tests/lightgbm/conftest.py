from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def functions_of_the_sessions_kind(request, monkeypatch):
    """A process that holds both kinds of session has to tell pyspark's functions which one a test means."""
    kind = getattr(request.node, "callspec", None) and request.node.callspec.params.get("spark")
    if kind == "connect":
        monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
