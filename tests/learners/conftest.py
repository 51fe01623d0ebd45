"""What runs with the slow tests alone: families whose code on Connect is that of their neighbours there, and their further tasks."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        case = getattr(item, "callspec", None)
        on_connect = case is not None and "connect" in case.id
        task = case.params.get("trained") if case is not None else None
        place = item.cls or item.module
        if (on_connect and getattr(place, "slow_on_connect", False)) or task in getattr(
            place, "slow_tasks", ()
        ):
            item.add_marker(pytest.mark.slow)
