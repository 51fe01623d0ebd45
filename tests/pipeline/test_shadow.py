"""`promote.shadow`: a challenger that passed the rule scores beside the champion before it takes its place."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.shadow.side_by_side import raised_by_model, said_of
from synml_dagster.checks.shadow_registry import in_shadow
from synml_dagster.onnx import OnnxModel, score
from synml_dagster.resources import MLflowResource
from tests.pipeline.shop import ROWS, customers, described
from tests.pipeline.test_partitions import DAYS, description, run, visits

BEFORE = ("raw", "feature_plan", "features", "sweep", "model", "evaluation", "onnx_model", "champion")


class Shop:
    """A pipeline whose description changes from run to run, with one Dagster instance and one registry.

    What it scores is a file of its own, so that scoring leaves the rows alone that a champion is measured on.
    """

    def __init__(self, folder, instance):
        self.folder, self.instance = folder, instance
        self.mlflow = MLflowResource()

    def run(self, job, *stages, rounds=40, leaves=4, shadow=(), more=(), waiting="waiting.csv"):
        told = described(self.folder, keep=["id"], source=str(self.folder / waiting)) | dict(more)
        told |= {"train": {"rounds": rounds, "early_stopping": 0, "params": {"num_leaves": leaves}}}
        told["promote"] = {"shadow": {"runs": 3} | dict(shadow)}
        defs = MLPipeline.model_validate(told).definitions()
        keys = [dg.AssetKey(["shop", stage]) for stage in stages] or None
        done = defs.resolve_job_def(f"shop_{job}").execute_in_process(
            instance=self.instance, asset_selection=keys, raise_on_error=False
        )
        assert done.success, [e.step_failure_data.error for e in done.all_events if e.is_step_failure]
        return {
            e.asset_key.path[-1]: {
                k: v.value for k, v in e.step_materialization_data.materialization.metadata.items()
            }
            for e in done.get_asset_materialization_events()
        } | {f"check {c.check_name}": c for c in done.get_asset_check_evaluations()}

    @property
    def champion(self):
        return self.mlflow.champion("shop").version

    @property
    def shadow(self):
        found = in_shadow(self.mlflow, "shop")
        return None if found is None else (found.version.version, found.beside, len(found.runs))

    def challenge(self):
        """Register the last model once more, as a training does; return what the champion's page says."""
        return self.run("train", "champion")["champion"]["decision"]

    def said_of_champion(self):
        records = self.instance.fetch_observations(dg.AssetKey(["shop", "champion"]), limit=1).records
        return records[0].asset_observation

    def decided(self, version):
        return self.mlflow.client.get_model_version("shop", str(version)).tags["synml.decision"]


@contextmanager
def opened(folder):
    customers().to_csv(folder / "customers.csv", index=False)
    customers().drop(columns="leaves").to_csv(folder / "waiting.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SYNML_DATA_DIR", str(folder / "data"))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Shop(folder, instance)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, classic_spark):
    """Version 1 of one tree is champion, version 2 of forty is in shadow since a training; what the latter's pages say."""
    with opened(tmp_path_factory.mktemp("shadow")) as shop:
        first = shop.run("train", *BEFORE, rounds=1)
        assert first["champion"]["promoted"] is True  # nobody to stand beside
        assert shop.shadow is None
        yield shop, shop.run("train", *BEFORE, "predictions", "shadow_predictions")


def test_both_models_score_the_same_rows_and_the_champions_page_counts_the_runs(whole, classic_spark):
    shop, told = whole
    assert shop.champion == "1"
    assert shop.shadow == ("2", "1", 1)
    assert told["champion"]["promoted"] is False
    assert "it scores beside version 1 for 3 runs first" in told["champion"]["decision"]
    assert set(pq.read_table(told["predictions"]["path"])["model_version"].to_pylist()) == {"1"}

    page = told["shadow_predictions"]
    rows = pq.read_table(page["path"]).to_pandas().set_index("id").sort_index()
    champion = pq.read_table(told["predictions"]["path"]).to_pandas().set_index("id").sort_index()
    assert len(rows) == ROWS
    assert rows["prediction"].tolist() == champion["prediction"].tolist()
    assert rows["probability"].tolist() == champion["probability"].tolist()
    bundle = shop.mlflow.download(shop.mlflow.version("shop", "2"))
    waiting = classic_spark.read.csv(str(shop.folder / "waiting.csv"), header=True, inferSchema=True)
    own = score(waiting, OnnxModel.load(bundle), keep=["id"])
    own = own.toPandas().set_index("id").sort_index()
    assert rows["challenger_prediction"].tolist() == own["prediction"].tolist()
    assert rows["challenger_probability"].tolist() == own["probability"].tolist()
    assert set(rows["challenger_version"]) == {"2"}
    assert rows["challenger_bad_row"].isna().all()

    changed = (rows["prediction"] != rows["challenger_prediction"]).mean()
    apart = (rows["probability"].astype(float) - rows["challenger_probability"].astype(float)).abs()
    assert 0 < changed < 1
    assert page["shadow/decided otherwise"] == pytest.approx(changed, abs=1e-6)
    assert page["shadow/mean difference"] == pytest.approx(apart.mean(), abs=1e-6)
    assert page["shadow/largest difference"] == pytest.approx(apart.max(), abs=1e-6)
    assert page["shadow/stability index"] > 0
    said = shop.said_of_champion()
    assert said.description == "version 2 in shadow: run 1 of 3 beside the champion"
    assert said.metadata["shadow/decided otherwise"].value == page["shadow/decided otherwise"]

    assert shop.run("score")["check shadow"].passed
    assert shop.shadow == ("2", "1", 2)
    done = shop.run("score")
    assert done["predictions"]["model_version"] == "1"
    assert shop.champion == "2"
    assert shop.shadow is None
    made = shop.instance.get_latest_materialization_event(dg.AssetKey(["shop", "champion"]))
    event = made.asset_materialization
    assert event.description.startswith("version 2 promoted: it stayed within the guardrails in 3 runs")
    assert event.tags["dagster/data_version"] == "2"
    assert event.metadata["shadow runs"].value.count("decided otherwise") == 3
    assert shop.decided(2).startswith("promoted: it stayed within")
    after = shop.run("score")
    assert after["predictions"]["model_version"] == "2"
    assert "shadow_predictions" not in after
    assert "no challenger of 'shop' is in shadow" in after["check shadow"].description


@pytest.mark.slow
def test_rows_that_the_challenger_alone_cannot_score_refuse_it_and_fail_no_run(tmp_path, classic_spark):
    without = {"features": {"exclude": ["id", "income"]}}
    with opened(tmp_path) as shop:
        shop.run("train", *BEFORE, rounds=1, leaves=2, more=without)
        shop.run("train", *BEFORE)
        assert shop.shadow == ("2", "1", 0)
        rows = customers().drop(columns="leaves").astype({"income": object})
        rows.loc[3, "income"] = "much"
        rows.to_csv(tmp_path / "one.csv", index=False)
        told = shop.run("score", waiting="one.csv")
        assert told["predictions"]["dagster/row_count"] == ROWS
        assert f"it has no answer for 1 of {ROWS} rows that the champion scores" in shop.decided(2)
        shop.challenge()
        customers().drop(columns=["leaves", "income"]).to_csv(tmp_path / "none.csv", index=False)
        told = shop.run("score", waiting="none.csv")
        assert told["predictions"]["dagster/row_count"] == ROWS
        assert "it cannot score these rows: " in shop.decided(3)
        assert "'income'" in shop.decided(3)
        assert "shadow_predictions" not in told
        assert (shop.champion, shop.shadow) == ("1", None)


@pytest.mark.slow
def test_a_challenger_whose_graph_fails_in_a_task_is_refused_and_fails_no_run(
    tmp_path, classic_spark, monkeypatch
):
    with opened(tmp_path) as shop:
        shop.run("train", *BEFORE, rounds=1, leaves=2)
        shop.run("train", *BEFORE)
        assert shop.shadow == ("2", "1", 0)

        @contextmanager
        def lost(*_):
            raise RuntimeError("Job aborted due to stage failure: ExecutorLostFailure")
            yield

        with (
            monkeypatch.context() as patch
        ):  # what Spark lost is no fault of the challenger's, and the champion has scored
            patch.setattr("synml_dagster.assets.shadow.predictions.scored_once", lost)
            told = shop.run("score")
        assert told["predictions"]["dagster/row_count"] == ROWS
        check = told["check shadow"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "ExecutorLostFailure. This run does not count" in check.description
        assert shop.shadow == ("2", "1", 0)

        fails_on_any_rows(Path(shop.mlflow.download(in_shadow(shop.mlflow, "shop").version)) / "model.onnx")
        told = shop.run("score")
        assert told["predictions"]["dagster/row_count"] == ROWS
        assert "shadow_predictions" not in told
        assert "it cannot score these rows: ONNX Runtime could not run the model" in shop.decided(2)
        assert told["check shadow"].severity == dg.AssetCheckSeverity.WARN
        assert (shop.champion, shop.shadow) == ("1", None)


@pytest.mark.parametrize(
    ("last", "of_the_model"),
    [
        ("onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument: [ONNXRuntimeError] : 2", True),
        ("ValueError: cannot reshape array of size 3", True),
        ("synml_dagster.errors.DataError: column 'age' holds words", True),
        ("synml_dagster.errors.SetupError: The model 'a.onnx' did not reach this executor", False),
        ("OSError: [Errno 28] No space left on device", False),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a.onnx'", False),
        ("MemoryError", False),
    ],
)
def test_what_the_host_of_a_task_lacks_is_no_fault_of_the_challenger_s(last, of_the_model):
    told = f'An exception was thrown from the Python worker:\nTraceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n{last}\n'
    problem = RuntimeError(told)
    assert said_of(problem) == last
    assert raised_by_model(problem) is of_the_model


def fails_on_any_rows(graph):
    """Have a graph ask for an element that is not there, whatever its rows."""
    import onnx
    from onnx import helper

    model = onnx.load(str(graph))
    (output,) = [o.name for o in model.graph.output if o.name == "probabilities"]
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            if name == output:
                node.output[i] = "probabilities_before"
    model.graph.initializer.append(helper.make_tensor("one_zero", onnx.TensorProto.FLOAT, [1], [0.0]))
    model.graph.node.extend(
        [
            helper.make_node("Size", ["probabilities_before"], ["how_many"]),
            helper.make_node("Gather", ["one_zero", "how_many"], ["no_such_element"]),
            helper.make_node("Add", ["probabilities_before", "no_such_element"], [output]),
        ]
    )
    onnx.save(model, str(graph))


@pytest.mark.slow
def test_labels_that_come_meanwhile_measure_both_and_refuse_the_worse(whole):
    shop, _ = whole
    shop.mlflow.set_alias("shop", "champion", "1")
    shop.mlflow.client.delete_model_version_tag("shop", "2", "synml.promoted")
    said = shop.challenge()
    version = shop.shadow[0]
    assert f"version {version} not promoted: in shadow" in said
    labels = customers()[["id", "leaves"]]
    labels.assign(leaves=labels["leaves"].map({"yes": "no", "no": "yes"})).to_csv(
        shop.folder / "labels.csv", index=False
    )
    live = {"live": {"key": ["id"], "labels": str(shop.folder / "labels.csv"), "minimum_rows": 50}}
    shop.run("score", more=live)
    told = shop.run("measure", more=live)["live_evaluation"]
    assert told["shadow/rows labelled since"] == ROWS
    assert told["shadow/champion/auc"] == told["live/auc"]
    assert told["shadow/challenger/auc"] < told["shadow/champion/auc"] - 0.02
    assert shop.shadow == (version, "1", 1)
    check = shop.run("score", more=live)["check shadow"]
    assert (shop.champion, shop.shadow) == ("1", None)
    assert "live.tolerance allows 0.02" in shop.decided(version)
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "live.tolerance allows 0.02" in shop.said_of_champion().description


@pytest.mark.slow
def test_partitions_have_a_table_each_and_a_run_over_several_counts_once(
    tmp_path, classic_spark, monkeypatch
):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    visits().to_csv(tmp_path / "visits.csv", index=False)
    with dg.DagsterInstance.ephemeral() as instance:
        for rounds in (1, 40):
            train = {"rounds": rounds, "early_stopping": 0, "params": {"num_leaves": 4}}
            told = description(tmp_path, promote={"shadow": {"runs": 2}}, train=train)
            defs = MLPipeline.model_validate(told).definitions()
            run(defs, "shop_train", instance, DAYS[0], DAYS[2])
        found = in_shadow(MLflowResource(), "shop")
        assert [r.rows for r in found.runs] == [240]
        run(defs, "shop_score", instance, DAYS[1])
        assert MLflowResource().champion("shop").version == "2"
    for day in DAYS[:3]:
        place = tmp_path / "data" / "shop" / "shadow_predictions" / "partitions" / day
        assert (place / "_current.json").exists()
