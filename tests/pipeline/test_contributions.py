"""The table of reasons beside the scores: the same rows by the same model, in the same step."""

from __future__ import annotations

import shutil

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.tables import open_table
from tests.pipeline.shop import ROWS, customers, described, score_job
from tests.pipeline.test_partitions import A_DAY, DAYS, description, run, visits
from tests.pipeline.test_predictions import broken

REASONS = [f"reason_{i}{part}" for i in (1, 2, 3) for part in ("", "_value", "_contribution")]
COLUMNS = ["age", "income", "city", "joined"]


def explaining(folder, contributions=True, **score):
    """Run the score job with contributions; return the metadata of both tables, or the failure."""
    told = described(folder, **score)
    told["explain"] = told["explain"] | {"contributions": contributions}
    return score_job(told)


def rows_of(told):
    return pq.read_table(told["path"]).to_pandas()


def adds_up(rows):
    values = rows[[f"contribution_{name}" for name in COLUMNS]].sum(axis=1) + rows["base_value"]
    np.testing.assert_allclose(values, rows["raw_score"], atol=1e-9)
    np.testing.assert_allclose(1 / (1 + np.exp(-rows["raw_score"])), rows["probability"], atol=1e-6)


def test_every_scored_row_says_why(trained):
    told = explaining(trained, keep=["id"])
    scores, why = rows_of(told["predictions"]), rows_of(told["contributions"])
    adds_up(why)
    assert list(why.columns) == [
        "id",
        "prediction",
        "probability",
        "base_value",
        "raw_score",
        *REASONS,
        *(f"contribution_{name}" for name in COLUMNS),
        "model_version",
        "plan_fingerprint",
        "scored_at",
    ]
    assert len(why) == ROWS
    for name in scores.columns:
        assert why[name].tolist() == scores[name].tolist(), name  # line by line
    people = customers().set_index("id")
    for row in why.head(20).itertuples():
        assert row.reason_1 in COLUMNS
        if row.reason_1 == "age":
            assert row.reason_1_value == str(people.loc[row.id, "age"])
    shown = told["contributions"]
    means = {name: why[f"contribution_{name}"].abs().mean() for name in COLUMNS}
    lines = shown["mean contribution"].splitlines()[2:]
    assert lines == [f"| {name} | {means[name]:.5g} |" for name in sorted(means, key=lambda n: -means[n])]
    assert shown["dagster/row_count"] == ROWS
    assert shown["method"] == "exact"
    assert shown["times the cost of scoring"] > 0
    assert shown["model_version"] == told["predictions"]["model_version"]


def test_rows_set_aside_have_no_reasons(trained):
    told = explaining(trained, {"top": 1}, source=broken(trained), keep=["id"])
    scores, why = rows_of(told["predictions"]), rows_of(told["contributions"])
    assert told["predictions"]["rows set aside"] == 3
    adds_up(why)
    assert why["id"].tolist() == scores["id"].tolist()
    assert set(why["id"]) == set(range(ROWS)) - {3, 5, 9}
    assert "bad_row" not in why
    assert "reason_2" not in why
    without = why.set_index("id").loc[11:12]
    assert (without[["contribution_age", "contribution_city"]].abs().sum(axis=1) > 0).all()


def test_nothing_is_left_of_the_rows_that_were_held(trained):
    data = trained / "data" / "shop"
    (data / "contributions").unlink(missing_ok=True)
    shutil.rmtree(data / ".contributions.versions", ignore_errors=True)  # as before the first run
    told = explaining(trained, source=broken(trained))
    root = data / ".contributions.versions" / "versions"
    assert all((version / "_version.json").is_file() for version in root.iterdir())
    assert not list((data / ".contributions.held" / "versions").iterdir())
    assert told["contributions"]["dagster/row_count"] == ROWS - 3
    assert not (trained / "data" / "shop" / "contributions_rejected").exists()


def test_a_catalog_table_takes_them(trained, classic_spark):
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    explaining(trained, {"table": "shop.why", "top": 0, "detailed": True}, keep=["id"])
    found = classic_spark.table("shop.why").toPandas()
    assert len(found) == ROWS
    adds_up(found)


def test_a_name_that_is_taken_ends_the_run_before_any_row_is_scored(trained):
    customers().assign(base_value=1).to_csv(trained / "named.csv", index=False)
    before = sorted((trained / "data" / "shop" / ".predictions.versions" / "versions").iterdir())
    assert "'base_value'" in explaining(trained, source=str(trained / "named.csv"))
    assert sorted((trained / "data" / "shop" / ".predictions.versions" / "versions").iterdir()) == before


@pytest.mark.slow
def test_each_partition_has_its_own(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    visits().to_csv(tmp_path / "visits.csv", index=False)
    why = {"rows": 20, "contributions": {"top": 1}}
    defs = MLPipeline.model_validate(description(tmp_path, explain=why)).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        run(defs, "shop_train", instance, DAYS[0], DAYS[2])
    for day in DAYS[:3]:
        both = [
            open_table(tmp_path / "data" / "shop" / f".{name}.versions" / "partitions" / day)
            for name in ("predictions", "contributions")
        ]
        scores, found = (pq.read_table(list(table.files().paths)).to_pandas() for table in both)
        assert len(found) == A_DAY
        assert found["id"].tolist() == scores["id"].tolist()
        values = found[["contribution_age", "contribution_city"]].sum(axis=1) + found["base_value"]
        np.testing.assert_allclose(values, found["raw_score"], atol=1e-9)


@pytest.mark.parametrize(
    ("contributions", "more", "message"),
    [
        ({"tops": 3}, {}, "tops"),
        ({"path": "a", "table": "b"}, {}, "keep one"),
        ({"path": "a"}, {"score": {"path": "a"}}, "replace the other"),
        ({"table": "a"}, {"partitions": {"column": "day", "static": ["x"]}}, "one by one"),
    ],
)
def test_a_description_that_cannot_work_is_refused(contributions, more, message):
    told = {"name": "shop", "source": "x", "label": "y", "explain": {"contributions": contributions}} | more
    with pytest.raises(ValidationError, match=message):
        MLPipeline.model_validate(told)


def test_the_graph_has_one_table_more_where_it_is_asked_for():
    told = {"name": "shop", "source": "x", "label": "y"}
    plain = MLPipeline.model_validate(told).definitions()
    asked = MLPipeline.model_validate(told | {"explain": {"contributions": True}}).definitions()
    keys = [{key.path[-1] for key in d.resolve_asset_graph().get_all_asset_keys()} for d in (plain, asked)]
    assert keys[1] - keys[0] == {"contributions"}
    node = asked.resolve_asset_graph().get(dg.AssetKey(["shop", "contributions"]))
    assert {key.path[-1] for key in node.parent_keys} == {"champion", "raw"}
    off = MLPipeline.model_validate(told | {"explain": {"contributions": False}}).definitions()
    assert len(off.resolve_asset_graph().get_all_asset_keys()) == len(keys[0])
