"""The real pipeline on real tables, from a CSV file to the report, on classic Spark and on Spark Connect."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synml_dagster.assets.stage import STAGES
from tests.pipeline.tables import TABLES
from tests.pipeline.whole import QUICK, run_whole

CARD = {"not_for": ["a diagnosis without a physician"], "owner": "the screening team"}
COSTS = {
    "binary": {"costs": {"false_positive": 1, "false_negative": 5}},
    "multiclass": {
        "cost_matrix": {
            "costs": {
                "class_0": {"class_1": 1, "class_2": 1},
                "class_1": {"class_0": 9, "class_2": 1},
                "class_2": {"class_0": 9, "class_1": 9},
            }
        }
    },
}


def description(task, folder):
    write, more = TABLES[task]
    told = {"name": f"{task}_table", "source": str(write(folder)), **more, **QUICK, "card": CARD}
    return told | ({"evaluate": COSTS[task]} if task in COSTS else {})


@pytest.fixture(scope="module", params=list(TABLES))
def finished(request, tmp_path_factory, classic_spark):
    """One whole run per task on classic Spark: (task, table, what came of it, where its data is)."""
    folder = tmp_path_factory.mktemp(request.param)
    about = description(request.param, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNML_DATA_DIR", str(folder / "data"))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        told = run_whole(about)
    assert told["success"], told["failures"]
    return request.param, pd.read_csv(about["source"]), told


def test_a_linear_model_goes_the_whole_way(tmp_path, classic_spark, monkeypatch):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    told = run_whole(description("binary", tmp_path) | {"train": {"learner": "linear"}})
    assert told["success"], told["failures"]
    assert told["checks"]["parity"] is True
    assert told["metadata"]["evaluation"]["test/auc"] > 0.97
    assert told["metadata"]["champion"]["promoted"]
    page = (Path(told["metadata"]["report"]["path"]) / "report.html").read_text()
    assert "Exact SHAP values of the linear model" in page
    assert "LightGBM" not in page
    assert "boosting round" not in page


FAMILIES = [
    pytest.param(
        "xgboost",
        {"rounds": 60, "early_stopping": 10},
        "Exact tree SHAP values",
        marks=pytest.mark.slow,
    ),
    pytest.param("random_forest", {}, "to its own, in probability", marks=pytest.mark.slow),
    pytest.param("extra_trees", {}, "to its own, in probability", marks=pytest.mark.slow),
    pytest.param(
        "mlp",
        {"rounds": 60},
        "SHAP values against",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("learner", "train", "method"), FAMILIES)
def test_every_family_goes_the_whole_way(tmp_path, classic_spark, monkeypatch, learner, train, method):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    told = run_whole(description("binary", tmp_path) | {"train": {"learner": learner, **train}})
    assert told["success"], told["failures"]
    assert told["checks"]["parity"] is True
    assert told["metadata"]["evaluation"]["test/auc"] > 0.97
    assert told["metadata"]["champion"]["promoted"]
    assert len(scores(told)) == 569
    page = (Path(told["metadata"]["report"]["path"]) / "report.html").read_text()
    assert method in page
    assert "LightGBM" not in page


def scores(told):
    return pq.read_table(told["metadata"]["predictions"]["path"]).to_pandas()


def test_every_stage_is_materialized_and_parity_holds(finished):
    _, _, told = finished
    assert set(told["metadata"]) == set(STAGES)
    assert told["checks"]["parity"] is True


def test_pictures_are_stored_in_one_event_each(finished):
    _, _, told = finished
    assert set(told["pictures"]) == {"ASSET_MATERIALIZATION"}
    assert told["pictures"]["ASSET_MATERIALIZATION"] >= 6
    shown = told["metadata"]
    for asset, entry in (
        ("evaluation", "curves"),
        ("model", "importance"),
        ("explanations", "beeswarm"),
        ("sweep", "pictures"),
    ):
        assert "](data:image/png;base64," in shown[asset][entry]
    # What plots over time comes before them.
    assert next(iter(shown["evaluation"])).startswith("test/")


def test_a_run_says_the_metric_and_where_the_report_is(finished):
    _, _, told = finished
    (line,) = [said for said in told["said"] if "; report: " in said]
    ((metric, value),) = [
        (key.removeprefix("challenger/"), value)
        for key, value in told["metadata"]["champion"].items()
        if key.startswith("challenger/")
    ]
    assert line.startswith(f"{metric} {value:.6g} on ")
    assert "version 1, the champion" in line
    assert Path(line.partition("; report: ")[2]).is_file()


def test_the_plan_knows_the_task(finished):
    task, _, told = finished
    assert told["metadata"]["feature_plan"]["task"] == task


def test_the_model_has_learned(finished):
    task, table, told = finished
    measured = told["metadata"]["evaluation"]
    if task == "binary":
        assert measured["test/auc"] > 0.95
    elif task == "multiclass":
        assert measured["test/accuracy"] > 0.65  # 36 rows, 2 trials; the most frequent class is 0.4
    elif task == "ranking":
        assert measured["test/ndcg@10"] > 0.85
    else:
        assert measured["test/rmse"] < table["progression"].std()


def test_every_row_is_scored(finished):
    _, table, told = finished
    assert len(scores(told)) == len(table)
    assert told["metadata"]["predictions"]["dagster/row_count"] == len(table)


def test_several_classes_are_decided_by_their_costs(finished):
    task, _, told = finished
    if task != "multiclass":
        return
    scored, costs = scores(told), COSTS[task]["cost_matrix"]["costs"]
    names = sorted(costs)
    p = np.array(scored["probability"].tolist())
    expected = p @ np.array([[costs[t].get(a, 0) for a in names] for t in names])
    assert scored["decision"].tolist() == [names[i] for i in expected.argmin(1)]
    assert scored["expected_cost"].to_numpy() == pytest.approx(expected.min(1), abs=1e-5)
    page = (Path(told["metadata"]["report"]["path"]) / "report.html").read_text()
    assert "Deciding by costs" in page
    assert "test/cost_of_likeliest" in told["metadata"]["evaluation"]


def test_each_score_says_which_model_made_it_and_when(finished):
    _, table, told = finished
    scored = scores(told)
    about = told["metadata"]["predictions"]
    plan = told["metadata"]["feature_plan"]["fingerprint"]
    assert list(scored.columns[: len(table.columns)]) == list(table.columns)
    assert list(scored.columns[-3:]) == ["model_version", "plan_fingerprint", "scored_at"]
    assert set(scored["model_version"]) == {about["model_version"]} == {"1"}
    assert set(scored["plan_fingerprint"]) == {about["plan_fingerprint"]} == {plan}
    (moment,) = set(scored["scored_at"])
    assert pd.to_datetime(moment, utc=True).floor("s") == pd.Timestamp(about["scored_at"])
    assert abs(pd.Timestamp.now("UTC") - pd.Timestamp(about["scored_at"])) < pd.Timedelta(minutes=30)


def test_plain_onnxruntime_gives_what_spark_wrote(finished):
    import onnxruntime

    task, _, told = finished
    scored = scores(told)
    session = onnxruntime.InferenceSession(
        told["metadata"]["champion"]["onnx"], providers=["CPUExecutionProvider"]
    )
    feed = {}
    for i in session.get_inputs():
        column = scored[i.name]
        if i.type == "tensor(string)":
            feed[i.name] = column.fillna("").to_numpy(dtype=object)[:, None]
        else:
            kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[i.type]
            feed[i.name] = column.to_numpy(dtype=kind)[:, None]
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))
    if task in ("regression", "ranking"):
        np.testing.assert_allclose(outputs["prediction"].ravel(), scored["prediction"], rtol=1e-6)
    else:
        assert list(np.ravel(outputs["label"])) == list(scored["prediction"])
        if task == "binary":
            np.testing.assert_allclose(outputs["probabilities"][:, 1], scored["probability"], atol=1e-6)


def test_the_champion_is_a_registered_version_without_pickle(finished):
    _task, _, told = finished
    champion = told["metadata"]["champion"]
    assert champion["promoted"] is True
    assert champion["challenger version"] == champion["champion version"] == "1"
    files = {p.name for p in Path(champion["onnx"]).parent.iterdir()}
    assert {"model.onnx", "booster.txt", "plan.json", "metrics.json", "MLmodel"} <= files
    assert not {f for f in files if f.endswith((".pkl", ".pickle", ".joblib"))}


def test_mlflow_opens_the_bundle(finished):
    import mlflow.onnx

    _, _, told = finished
    opened = mlflow.onnx.load_model(str(Path(told["metadata"]["champion"]["onnx"]).parent))
    assert {entry.key for entry in opened.metadata_props} >= {"pipeline", "plan_fingerprint"}


def test_mlflow_scores_with_the_bundle_as_the_pipeline_does(finished):
    import mlflow.pyfunc

    task, _, told = finished
    opened = mlflow.pyfunc.load_model(str(Path(told["metadata"]["champion"]["onnx"]).parent))
    scored = pd.read_parquet(told["metadata"]["predictions"]["dagster/uri"])
    answers = opened.predict(scored.drop(columns=["prediction"]))
    assert answers["prediction"].tolist() == scored["prediction"].tolist(), task
    assert all(not spec.required for spec in opened.metadata.signature.inputs)
    assert opened.metadata.signature.outputs.input_names()[0] == "prediction"


def test_the_report_is_one_page_that_needs_nothing_from_outside(finished):
    task, _, told = finished
    page = Path(told["metadata"]["report"]["path"]) / "report.html"
    html = page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", html)
    assert f"{task}_table" in html


def test_the_card_is_beside_the_model_and_in_the_registry(finished):
    from mlflow.tracking import MlflowClient

    task, _, told = finished
    report = Path(told["metadata"]["report"]["path"])
    whole = (report / "MODEL_CARD.md").read_text(encoding="utf-8")
    beside = (Path(told["metadata"]["champion"]["onnx"]).parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    client = MlflowClient(f"sqlite:///{report.parents[3] / 'mlflow' / 'mlflow.db'}")
    said = client.get_model_version(f"{task}_table", "1").description
    for card in (whole, beside, said):
        assert "a diagnosis without a physician" in card
        assert "| Metric | Test | 95% interval | Baseline |" in card
    assert len(said) <= 5_000
    assert "**Promoted to champion:**" in said
    assert "no label differs" in whole
    assert "**Steps together:**" in whole
    assert ("## Threshold" in beside) is (task == "binary")


def test_every_metric_says_how_sure_it_is(finished):
    _, _, told = finished
    measured = {k: v for k, v in told["metadata"]["evaluation"].items() if k.startswith("test/")}
    names = {k for k in measured if f"{k}_low" in measured}
    assert names
    assert all(measured[f"{k}_low"] <= measured[k] <= measured[f"{k}_high"] for k in names)
    own = {"test/threshold", "test/cost", "test/cost_at_half", "test/cost_of_likeliest"}
    assert {k for k in measured if not k.endswith(("_low", "_high"))} - own == names


def test_metrics_are_numbers_that_plot_over_time(finished):
    _, _, told = finished
    for name, value in told["metadata"]["evaluation"].items():
        if name.startswith("test/"):
            assert isinstance(value, float)
            assert math.isfinite(value)


@pytest.mark.connect
@pytest.mark.parametrize(
    "task", [t if t == "binary" else pytest.param(t, marks=pytest.mark.slow) for t in TABLES]
)
def test_the_same_descriptions_run_on_connect_by_configuration_alone(tmp_path, connect_server, task):
    # What differs by task is tested on Connect step by step; all steps of one pipeline in one go are tested here.
    out = tmp_path / "told.json"
    environment = os.environ | {"SPARK_REMOTE": connect_server, "SYNML_DATA_DIR": str(tmp_path / "data")}
    environment = {k: v for k, v in environment.items() if k not in ("SPARK_MASTER", "DAGSTER_HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.whole", json.dumps(description(task, tmp_path)), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(out.read_text())
    assert told["success"], told["failures"]
    assert set(told["metadata"]) == set(STAGES)
    assert told["checks"]["parity"] is True
