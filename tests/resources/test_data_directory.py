"""One place names the data directory."""

from __future__ import annotations

import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.resources import DataDirectory, MLflowResource


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ("SYNML_DATA_DIR", "DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_what_is_said_wins_over_the_environment_and_that_over_dagsters_home(monkeypatch, tmp_path):
    assert DataDirectory().resolved() == str(tmp_path / "synml_data")
    monkeypatch.setenv("DAGSTER_HOME", "/srv/home")
    assert DataDirectory().resolved() == "/srv/home/synml_data"
    monkeypatch.setenv("SYNML_DATA_DIR", "/srv/data/")
    assert DataDirectory().path("adult", "raw") == "/srv/data/adult/raw"
    assert DataDirectory("here").resolved() == str(tmp_path / "here")


def test_a_uri_is_kept_and_has_no_local_side(monkeypatch):
    monkeypatch.setenv("SYNML_DATA_DIR", "s3://bucket/ml/")
    assert DataDirectory().path("adult") == "s3://bucket/ml/adult"
    with pytest.raises(
        ConfigError, match=r"mlflow/mlflow.db needs a local data directory and 's3://bucket/ml'"
    ):
        MLflowResource().resolved_uri()


def test_mlflow_lives_in_the_data_directory_until_told_otherwise(monkeypatch, tmp_path):
    assert MLflowResource().resolved_uri() == f"sqlite:///{tmp_path}/synml_data/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert MLflowResource().resolved_uri() == "http://mlflow:5000"
    assert MLflowResource(tracking_uri="sqlite:////x.db").resolved_uri() == "sqlite:////x.db"


def test_a_users_own_data_folder_is_not_taken_and_that_of_an_earlier_release_is(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("a\n1\n")
    assert DataDirectory().resolved() == str(tmp_path / "synml_data")
    (tmp_path / "data" / "mlflow").mkdir()
    assert DataDirectory().resolved() == str(tmp_path / "data")
