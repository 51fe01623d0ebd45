"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import synml_dagster

MODULES = sorted(m.name for m in pkgutil.walk_packages(synml_dagster.__path__, "synml_dagster."))


@pytest.mark.parametrize("name", [n for n in MODULES if "testing" not in n])
def test_examples_run(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
