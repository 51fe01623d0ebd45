"""A champion to score with."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.pipeline.shop import customers, described
from tests.pipeline.whole import run_whole


@pytest.fixture(scope="session")
def shop(tmp_path_factory, classic_spark):
    """A folder in which the pipeline `shop` has a champion, trained on `customers`."""
    folder = tmp_path_factory.mktemp("shop")
    customers().to_csv(folder / "customers.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SYNML_DATA_DIR", str(folder / "data"))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        told = run_whole(described(folder), instance)
    assert told["success"], told["failures"]
    return folder


@pytest.fixture
def trained(shop, monkeypatch):
    """The folder of `shop`, whose data directory is the environment's."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(shop / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shop
