"""No password, key or token reaches what people read."""

from __future__ import annotations

import traceback

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.errors import ConfigError, SetupError, SourceError
from synml_dagster.redaction import redacted, without_secrets
from synml_dagster.resources.mlflow_store import open_client
from synml_dagster.sources import Source, read_source

SECRET = "hunter2-x9"


@pytest.mark.parametrize(
    "text",
    [
        f"https://ann:{SECRET}@mlflow.example.com/x",
        f"jdbc:postgresql://db/x?user=ann&password={SECRET}&ssl=true",
        f"jdbc:sqlserver://db;user=ann;password={SECRET};encrypt=true",
        f"jdbc:oracle:thin:ann/{SECRET}@db:1521/x",
        f"s3a://AKIA:{SECRET}/with/slash@bucket/rows",
        f"https://store.blob.core.windows.net/rows?sv=1&sig={SECRET}",
        f"connection accountkey={SECRET} refused",
        f"options {{'fs.azure.account.key': 'x', 'sslPassword': '{SECRET}'}}",
        f"token = '{SECRET}'",
        f"https://{SECRET}@github.com/x",
        f"jdbc:postgresql://db/x?user=ann&pass={SECRET}",
        f"jdbc:sqlserver://db;user=ann;password={{a;b{SECRET}}};encrypt=true",
        f"Authorization: Bearer {SECRET}",
        f"'Authorization': 'Basic {SECRET}'",
        f"spark-submit --db-password {SECRET} job.py",
        f"password: {SECRET}",
        f"db_passwd: '{SECRET}'",
        f"password => {SECRET}",
        f"ann:{SECRET}@host:3306/x",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"postgresql://ann:p@{SECRET}@db/x",
    ],
)
def test_what_is_secret_is_hidden(text):
    assert SECRET not in redacted(text)
    assert SECRET not in str(ConfigError(f"cannot open {text}"))


@pytest.mark.parametrize(
    "text",
    [
        "abfss://data@account.dfs.core.windows.net/rows",
        "http://localhost:5000/#/experiments/1",
        "column 'password_age' is numeric",
        "ann@example.com wrote to spark://host:7077",
        "https://host:8080/path@v2/x",
        "basic authorization was refused by ann@example.com",
        "git@github.com:owner/name.git",
        "column 'password' has 3 values; -1 is none",
        "s3a://bucket/day=2024-01-01T10:00:00/part@1.parquet",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


def test_a_cause_whose_message_holds_a_secret_is_stood_for():
    plain, told = ValueError("no such host"), ValueError(f"http://a:{SECRET}@h refused")
    assert without_secrets(plain) is plain
    assert SECRET not in str(without_secrets(told))


def test_a_database_that_cannot_be_read_keeps_its_password(classic_spark):
    source = Source(
        jdbc=f"jdbc:nosuch://ann:{SECRET}@db/x?token={SECRET}",
        options={"dbtable": "t", "user": "ann", "password": SECRET},
    )
    assert SECRET not in source.describe()
    with pytest.raises(SourceError) as found:
        read_source(classic_spark, source)
    assert SECRET not in "".join(traceback.format_exception(found.value))


def test_a_tracking_server_that_is_not_there_keeps_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.raises(SetupError) as found:
        open_client(f"http://ann:{SECRET}@127.0.0.1:9")
    assert SECRET not in "".join(traceback.format_exception(found.value))


def test_a_run_that_fails_shows_no_password_in_any_event(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    source = {"jdbc": f"jdbc:nosuch://ann:{SECRET}@db/x", "options": {"dbtable": "t", "password": SECRET}}
    job = MLPipeline(name="p", source=source, label="y").definitions().resolve_job_def("p_train")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["p", "raw"])], raise_on_error=False
        )
        assert not result.success
        logged = instance.all_logs(result.run_id)
    assert logged
    assert SECRET not in "".join(repr(entry) for entry in logged)


def test_a_description_that_is_refused_does_not_repeat_its_password():
    with pytest.raises(ValidationError) as found:
        MLPipeline(
            name="p", source={"jdbc": f"jdbc:x://a:{SECRET}@h", "optoins": {"password": SECRET}}, label="y"
        )
    assert SECRET not in str(found.value)
    assert "optoins" in str(found.value)


def test_a_database_for_scores_that_is_refused_does_not_repeat_its_password():
    place = {"jdbc": f"jdbc:mysql://a:{SECRET}@h/d", "table": "t", "options": {"password": SECRET}}
    for wrong in (place, place | {"tabel": "t"}):
        with pytest.raises(ValidationError) as found:
            MLPipeline(name="p", source="t.csv", label="y", score={"database": wrong})
        assert SECRET not in str(found.value)
