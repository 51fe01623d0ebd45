"""Families whose code on Connect is that of their neighbours run there with the slow tests alone."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        on_connect = "connect" in getattr(getattr(item, "callspec", None), "id", "")
        if on_connect and getattr(item.cls, "slow_on_connect", False):
            item.add_marker(pytest.mark.slow)
