"""Scored rows as an operator meets them: where they come from, and what became of the rows that could not be scored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.artifacts import COLUMNS, Provenance
from synml_dagster.errors import ConfigError
from tests.pipeline.shop import ROWS, customers, described, score_job

FROM = Provenance("7", "abc", datetime(2026, 3, 1, 12, 30, tzinfo=UTC))


def test_every_row_is_stamped_with_one_moment_whatever_the_sessions_time_zone(classic_spark):
    stamped = FROM.stamp(classic_spark.range(3)).selectExpr("*", "unix_micros(scored_at) AS micros")
    moment = int(datetime(2026, 3, 1, 12, 30, tzinfo=UTC).timestamp() * 1_000_000)
    assert [(r.id, r.model_version, r.plan_fingerprint, r.micros) for r in stamped.collect()] == [
        (i, "7", "abc", moment) for i in range(3)
    ]


def test_a_column_run_id_is_refused_before_any_work_where_runs_append(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    pd.DataFrame({"Run_ID": [1, 2], "y": ["a", "b"]}).to_parquet(tmp_path / "t.parquet")
    for append, said in ((True, "column 'Run_ID', and predictions add 'run_id'"), (False, None)):
        told = {"name": "p", "source": str(tmp_path / "t.parquet"), "label": "y", "score": {"append": append}}
        job = MLPipeline.model_validate(told).definitions().resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            done = job.execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey(["p", "raw"])], raise_on_error=False
            )
        failed = [e.step_failure_data.error.message for e in done.all_events if e.is_step_failure]
        assert [said in one for one in failed] == [True] * append
    with pytest.raises(ValueError, match=r"score\.keep names 'run_id'"):
        MLPipeline.model_validate(told | {"score": {"append": True, "keep": ["Run_ID"]}})


def test_a_table_with_a_column_of_that_name_is_refused_by_name(classic_spark):
    with pytest.raises(ConfigError, match=r"column 'Scored_At'.*score\.keep"):
        FROM.stamp(classic_spark.sql("SELECT 1 AS id, 2 AS Scored_At"))


def scoring(folder, **score):
    """Run the score job of the pipeline with another `score` part, and return its metadata or its failure."""
    told = score_job(described(folder, **score))
    return told if isinstance(told, str) else told["predictions"]


def written(path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def broken(folder):
    """Today's customers: three rows hold what is no age and no date, two lack what may be missing."""
    today = customers().drop(columns="leaves").astype({"age": object, "joined": str})
    today.loc[3, "age"] = "unknown"
    today.loc[5, "age"] = "31.5"
    today.loc[9, "joined"] = "yesterday"
    today.loc[11, "age"] = None
    today.loc[12, "city"] = None
    today.to_csv(folder / "today.csv", index=False)
    return str(folder / "today.csv")


def test_rows_that_cannot_be_scored_are_set_aside_with_their_reason_and_counted(trained):
    told = scoring(trained, source=broken(trained), keep=["id"])
    assert told["dagster/row_count"] == ROWS - 3
    assert told["rows set aside"] == 3
    assert "- 1: 'joined' is not a date" in told["rows set aside/reasons"]
    aside = written(told["rows set aside/path"]).set_index("id")
    assert dict(aside["bad_row"]) == {
        3: "'age' is not a number",
        5: "'age' is not a whole number",
        9: "'joined' is not a date",
    }
    assert list(aside["age"]) == ["unknown", "31.5", customers()["age"].astype(str)[9]]
    assert set(aside["model_version"]) == {told["model_version"]}
    scores = written(told["path"]).set_index("id")
    assert list(scores.columns) == ["prediction", "probability", *COLUMNS]
    assert set(scores.index) == set(range(ROWS)) - {3, 5, 9}

    # A stray word makes text of a column; the rows beside it are scored as ever.
    whole = written(scoring(trained)["path"]).set_index("id")
    same = [i for i in scores.index if i not in (11, 12)]
    assert list(scores.loc[same, "probability"]) == list(whole.loc[same, "probability"])
    assert scores.loc[[11, 12], "probability"].notna().all()


def test_what_was_set_aside_before_does_not_stand_beside_todays_scores(trained):
    before = scoring(trained, source=broken(trained))
    assert before["rows set aside"] == 3
    after = scoring(trained)
    assert after["rows set aside"] == 0
    assert len(written(after["rows set aside/path"])) == 0
    assert after["dagster/row_count"] == ROWS
    assert "bad_row" not in written(after["path"]).columns


def test_nothing_but_the_two_tables_is_left_behind(trained):
    told = scoring(trained, source=broken(trained))
    for path in (told["path"], told["rows set aside/path"]):
        root = Path(path).parent
        assert all((version / "_version.json").is_file() for version in root.iterdir())


def test_rows_that_cannot_be_scored_end_the_run_where_that_is_asked_for(trained):
    failure = scoring(trained, source=broken(trained), bad_rows="raise")
    assert "'age' is string where the plan has" in failure


def test_a_table_whose_column_can_never_hold_the_plans_values_is_refused(trained):
    customers().assign(joined=1.5).to_csv(trained / "odd.csv", index=False)
    assert "'joined' is double where the plan has date" in scoring(trained, source=str(trained / "odd.csv"))


def test_a_catalog_table_is_written_once_and_described(trained, classic_spark):
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    predictions = trained / "data" / "shop" / "predictions"
    before = sorted(predictions.rglob("*.parquet"))
    for _ in range(2):  # the second time it replaces the first
        told = scoring(trained, table="shop.scores", keep=["id"])
    assert sorted(predictions.rglob("*.parquet")) == before
    assert told["dagster/table_name"] == "shop.scores"
    assert told["dagster/storage_kind"] == "parquet"
    assert told["dagster/row_count"] == classic_spark.table("shop.scores").count() == ROWS
    shown = [column.name for column in told["dagster/column_schema"].columns]
    assert shown == classic_spark.table("shop.scores").columns
    present = classic_spark.sql("SHOW TABLES IN shop").where("NOT isTemporary").collect()
    assert [row.tableName for row in present if row.tableName.startswith("scores")] == ["scores"]


def test_a_catalog_table_holds_no_row_that_was_set_aside(trained, classic_spark):
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    told = scoring(trained, source=broken(trained), table="shop.todays")
    assert classic_spark.table("shop.todays").count() == told["dagster/row_count"] == ROWS - 3
    assert len(written(told["rows set aside/path"])) == told["rows set aside"] == 3


def test_predictions_of_each_run_are_kept_where_the_description_says_append(trained, tmp_path):
    path = tmp_path / "scores"
    customers().to_parquet(trained / "waiting.parquet")
    told = described(trained, source=str(trained / "waiting.parquet"), path=str(path), append=True)
    for _ in range(2):
        made = score_job(told)["predictions"]
        assert made["dagster/row_count"] == ROWS
    found = pd.read_parquet(path)
    assert sorted(found.groupby("run_id", observed=True).size()) == [ROWS, ROWS]
    assert found["scored_at"].nunique() == 2
    with pytest.raises(ValueError, match="stands there several times"):
        MLPipeline.model_validate(described(trained, append=True) | {"live": {"key": ["id"]}})


def test_a_catalog_table_keeps_the_predictions_of_runs_and_a_check_looks_at_those_of_its_own(
    trained, classic_spark
):
    """The column of the table is compared with the champion's answers: of the rows of that run, and not of those before."""
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    customers().to_parquet(trained / "all.parquet")
    customers().query("age > 50").reset_index(drop=True).to_parquet(trained / "some.parquet")
    rows, runs = [], []
    for source in ("all", "some"):
        told = described(trained, source=str(trained / f"{source}.parquet"), table="shop.log", append=True)
        told["checks"] = {"predictions": {"severity": "warn", "minimum_rows": 1}}
        with dg.DagsterInstance.ephemeral() as instance:
            job = MLPipeline.model_validate(told).definitions().resolve_job_def("shop_score")
            done = job.execute_in_process(instance=instance)
        (made,) = (m.metadata for m in done.asset_materializations_for_node("shop__predictions"))
        (check,) = (c for c in done.get_asset_check_evaluations() if c.check_name == "answers")
        rows.append(made["dagster/row_count"].value)
        runs.append(made["run_id"].value)
        assert check.metadata["rows"].value == rows[-1]
    found = classic_spark.table("shop.log").groupBy("run_id").count().collect()
    assert {row[0]: row[1] for row in found} == dict(zip(runs, rows, strict=True))
    assert rows[0] == ROWS > rows[1] > 0
