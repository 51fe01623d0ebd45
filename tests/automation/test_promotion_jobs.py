"""The champion moved by hand: there, back, and with a person's word."""

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.automation import promotion_jobs
from synml_dagster.resources import MLflowResource

KEY = dg.AssetKey(["adult", "champion"])


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    resource = MLflowResource()

    @dg.asset
    def three(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        folder = tmp_path / "bundle"
        folder.mkdir()
        (folder / "model.onnx").write_text("graph")
        with mlflow.run(context) as run:
            made = [run.register("adult", folder) for _ in range(3)]
        for version in made[:2]:
            mlflow.promote("adult", version)
        mlflow.set_alias("adult", "challenger", made[2])

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([three], resources={"mlflow": resource}, instance=instance).success
        yield resource, instance


def launch(mlflow, name, **config):
    resource, instance = mlflow
    job = {j.name: j for j in promotion_jobs("adult", KEY)}[f"adult_{name}"]
    op = {"promote": "adult_promote_version", "rollback": "adult_put_back"}[name]
    return job.execute_in_process(
        resources={"mlflow": resource},
        instance=instance,
        run_config={"ops": {op: {"config": config}}},
        raise_on_error=False,
    )


def said(result):
    return [
        e.step_materialization_data.materialization.description
        for e in result.all_events
        if e.event_type_value == "ASSET_MATERIALIZATION"
    ]


def guarded(resource, name="adult"):
    """What a person has taken back, and the next challenger has to beat beside the champion."""
    return [version.version for version in resource.rolled_back_from(name, resource.champion(name))]


def more_versions(resource, how_many, name="adult"):
    """Register further versions, of a model that is there or of another one."""
    found = resource.client.get_model_version("adult", "1")
    if name != "adult":
        resource.client.create_registered_model(name)
    for _ in range(how_many):
        resource.client.create_model_version(name, source=found.source, run_id=found.run_id)


def champions(resource, *numbers, name="adult"):
    for number in numbers:
        resource.promote(name, resource.version(name, number))


def test_the_challenger_is_promoted_and_the_version_before_is_put_back(mlflow):
    resource, _ = mlflow
    assert resource.champion("adult").version == "2"
    result = launch(mlflow, "promote", reason="looks right")
    assert resource.champion("adult").version == "3"
    assert said(result) == ["version 3 promoted looks right, in place of version 2"]
    result = launch(mlflow, "rollback", reason="complaints")
    assert resource.champion("adult").version == "2"
    assert said(result) == ["version 2 put back complaints, in place of version 3"]
    tags = resource.client.get_model_version("adult", "2").tags
    assert tags["synml.decision"].startswith("version 2 put back complaints")
    # What was taken back has to be beaten by the next challenger, too.
    assert guarded(resource) == ["3"]
    launch(mlflow, "rollback", version="1")
    assert resource.champion("adult").version == "1"


def test_what_was_taken_back_is_not_put_back_and_has_to_be_beaten_by_what_comes_next(mlflow):
    resource, _ = mlflow
    more_versions(resource, 2)
    champions(resource, "3")
    launch(mlflow, "rollback", reason="3 is bad")
    champions(resource, "4")
    assert guarded(resource) == []  # 4 has beaten both
    launch(mlflow, "rollback", reason="4 is bad")
    assert resource.champion("adult").version == "2"
    assert guarded(resource) == ["4", "3"]
    launch(mlflow, "rollback", reason="so was 2")
    assert (resource.champion("adult").version, guarded(resource)) == ("1", ["4", "3", "2"])
    assert not launch(mlflow, "rollback").success
    # A person takes the word back: 3 counts again, and is what 5 is put back for.
    launch(mlflow, "promote", version="3")
    champions(resource, "5")
    launch(mlflow, "rollback")
    assert (resource.champion("adult").version, guarded(resource)) == ("3", ["5"])
    assert "synml.taken_back" not in resource.client.get_model_version("adult", "3").tags
    launch(mlflow, "rollback")
    assert resource.champion("adult").version == "1"


def test_the_version_before_is_the_one_that_was_champion_before_whatever_its_number(mlflow):
    resource, _ = mlflow
    more_versions(resource, 2)
    champions(resource, "3", "4")
    launch(mlflow, "promote", version="2")
    for before in ("4", "3", "1"):  # 2 was champion before 3, too, and is taken back by then
        launch(mlflow, "rollback")
        assert resource.champion("adult").version == before
    launch(mlflow, "rollback", version="5")  # was never champion
    assert (resource.champion("adult").version, guarded(resource)) == ("5", ["1"])
    champions(resource, "1", "2", "3", "4")
    launch(mlflow, "rollback", version="2")
    assert guarded(resource) == ["4", "3"]
    champions(resource, "5")
    launch(mlflow, "rollback")
    assert resource.champion("adult").version == "2"  # 3 was passed over on the way back


def test_what_was_moved_past_this_package_and_by_earlier_releases_goes_by_numbers(mlflow):
    resource, _ = mlflow
    more_versions(resource, 5, "old")
    for number in "123":
        resource.client.set_model_version_tag("old", number, "synml.promoted", "true")
    resource.set_alias("old", "champion", "2")
    old = resource.version("old", "2")
    assert (resource.promoted_before("old", old).version, guarded(resource, "old")) == ("1", ["3"])
    champions(resource, "4", name="old")
    assert resource.promoted_before("old", resource.champion("old")).version == "2"
    resource.set_alias("old", "champion", "2")  # in MLflow's UI
    assert guarded(resource, "old") == ["4", "3"]
    resource.set_alias("old", "champion", "5")
    assert resource.promoted_before("old", resource.champion("old")).version == "4"
    champions(resource, "1", name="old")
    assert resource.promoted_before("old", resource.champion("old")).version == "5"


@pytest.mark.parametrize("name", ["o'brien", 'the "best"'])
def test_a_name_with_quotes_is_found_again(mlflow, name):
    resource, instance = mlflow
    more_versions(resource, 3, name)
    champions(resource, "1", "2", name=name)
    job = {j.name: j for j in promotion_jobs("other", KEY, name)}["other_rollback"]
    assert job.execute_in_process(resources={"mlflow": resource}, instance=instance).success
    assert (resource.champion(name).version, guarded(resource, name)) == ("1", ["2"])


def test_a_name_that_cannot_be_found_again_is_refused_at_load():
    with pytest.raises(ValidationError, match="both kinds of quotes"):
        MLPipeline(name="p", source="t.csv", label="b", mlflow={"model": """o'brien "jr" """})


def test_what_is_not_there_is_said_and_moves_nothing(mlflow):
    resource, _ = mlflow
    for name, config, text in [
        ("promote", {"version": "9"}, "there is no version '9'"),
        ("rollback", {"version": "9"}, "there is no version '9'"),
    ]:
        result = launch(mlflow, name, **config)
        assert not result.success
        failed = next(e for e in result.all_events if e.event_type_value == "STEP_FAILURE")
        assert text in str(failed.event_specific_data.error)
        assert resource.champion("adult").version == "2"
    launch(mlflow, "rollback")
    result = launch(mlflow, "rollback")
    assert not result.success
    assert "no version of 'adult' was champion before version 1 and is not taken back" in str(
        next(e for e in result.all_events if e.event_type_value == "STEP_FAILURE").event_specific_data.error
    )
    assert launch(mlflow, "promote", version="1").success
    assert not said(launch(mlflow, "promote", version="1"))


def test_a_registry_that_refuses_is_the_first_line_of_the_failure(mlflow):
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Refuses(BaseHTTPRequestHandler):
        """Shows experiments, as a proxy that knows who may read them, and nothing else."""

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            open_ = "experiments/search" in self.path
            told = (
                {"experiments": []}
                if open_
                else {"error_code": "PERMISSION_DENIED", "message": "not for bob"}
            )
            body = json.dumps(told).encode()
            self.send_response(200 if open_ else 403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815, as the base class finds them

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        refused = (MLflowResource(tracking_uri=f"http://127.0.0.1:{server.server_port}"), mlflow[1])
        for name in ("promote", "rollback"):
            failed = next(e for e in launch(refused, name).all_events if e.event_type_value == "STEP_FAILURE")
            first = failed.event_specific_data.error.message.splitlines()[0]
            assert "SetupError: mlflow: PERMISSION_DENIED: not for bob. Is the tracking server there" in first
    finally:
        server.shutdown()


def test_the_registered_model_may_have_a_name_of_its_own(mlflow):
    resource, instance = mlflow
    job = {j.name: j for j in promotion_jobs("other", KEY, "adult")}["other_promote"]
    assert job.execute_in_process(resources={"mlflow": resource}, instance=instance).success
    assert resource.champion("adult").version == "3"
