"""The champion moved by hand: there, back, and with a person's word."""

import dagster as dg
import pytest

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
    assert resource.rolled_back_from("adult", resource.champion("adult")).version == "3"
    launch(mlflow, "rollback", version="1")
    assert resource.champion("adult").version == "1"


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
    assert "no version of 'adult' before version 1 was champion" in str(
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
