"""`checks` in a description: each passes on the rows that were learnt, and names columns and values where they are others."""

from __future__ import annotations

import dagster as dg
import pandas as pd
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.gates import build_table_checks
from synml_dagster.checks import ChecksSpec
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.pipeline import default_resources
from synml_dagster.resources import SparkResource
from synml_dagster.sources import Source, read_source
from tests.pipeline.shop import ROWS, customers, described

ALL = {
    "columns": {},
    "row_count": {},
    "duplicates": {"columns": ["id"]},
    "freshness": {"column": "joined", "hours": 24 * 365 * 100},
    "nulls": {},
    "ranges": {"columns": ["age", "city", "income"]},
    "predictions": {"minimum_rows": 50},
}


@pytest.fixture
def read(trained):
    """Read and score a table, with `checks`, in an instance that remembers what was read before."""
    with dg.DagsterInstance.ephemeral() as instance:

        def run(rows, checks):
            rows.to_csv(trained / "checked.csv", index=False)
            description = described(trained) | {
                "source": str(trained / "checked.csv"),
                "checks": checks,
            }
            job = MLPipeline.model_validate(description).definitions().resolve_job_def("shop_score")
            done = job.execute_in_process(instance=instance, raise_on_error=False)
            made = {
                e.step_materialization_data.materialization.asset_key.path[-1]
                for e in done.get_asset_materialization_events()
            }
            return {c.check_name: c for c in done.get_asset_check_evaluations()}, made

        yield run


def test_what_is_as_it_was_passes_and_what_is_not_is_named(read):
    same = customers()
    checks, _ = read(same, ALL)
    assert {name: c.passed for name, c in checks.items()} == dict.fromkeys(
        ["columns", "row_count", "duplicates", "freshness", "nulls", "ranges", "answers", "rejected_rows"],
        True,
    )
    odd = same[: ROWS // 3].assign(id=7, incom=1)
    odd["income"] = odd["income"].where(odd.index % 2 == 0)
    odd["age"] = odd["age"] + 1000
    odd["city"] = "Kyiv"
    odd["joined"] = "2020-01-01"
    checks, made = read(
        odd,
        ALL
        | {
            "nulls": {"severity": "error", "minimum_rows": 50},
            "freshness": {"column": "joined", "hours": 5},
            "ranges": {"minimum_rows": 50},
        },
    )
    said = {name: c.description for name, c in checks.items()}
    assert made == {"raw", "predictions"}
    assert not any(
        c.passed for name, c in checks.items() if name not in ("answers", "rejected_rows", "columns")
    )
    assert f"{ROWS // 3} rows, and {ROWS} are usual" in said["row_count"]
    assert said["duplicates"] == f"1 values of 'id' stand on {ROWS // 3} rows, such as 7 ({ROWS // 3} rows)"
    assert "newest 'joined' is 2020-01-01" in said["freshness"]
    assert "'income' in 50.0% of the rows (training: 0.0%)" in said["nulls"]
    assert f"'city' in {ROWS // 3} rows, such as 'Kyiv'" in said["ranges"]
    assert f"'age' in {ROWS // 3} rows, such as 1018, 1022" in said["ranges"]
    assert "'incom' is new, which is allowed" in said["columns"]
    assert checks["nulls"].severity == dg.AssetCheckSeverity.ERROR
    assert checks["ranges"].severity == dg.AssetCheckSeverity.WARN


def test_a_blocking_check_of_raw_keeps_what_comes_after_from_running(read):
    blocking = {"severity": "error", "blocking": True}
    checks, made = read(customers().drop(columns="income"), {"columns": blocking})
    assert not checks["columns"].passed
    assert checks["columns"].description == "columns changed since the champion learnt: 'income' is gone"
    assert "champion uses it" in checks["columns"].metadata["changes"].value
    assert made == {"raw"}
    checks, made = read(customers(), {"row_count": blocking | {"at_least": 2, "at_most": 3}})
    assert made == {"raw"}


def test_each_partition_of_a_run_is_judged_by_its_own_columns(trained, tmp_path):
    days = [f"2026-01-0{day}" for day in range(1, 6)]
    source = Source(path=str(trained / "customers.csv"))

    @dg.asset(
        key=["shop", "raw"],
        partitions_def=dg.StaticPartitionsDefinition(days),
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="spark_tables",
        metadata={"root": str(tmp_path / "raw")},
    )
    def raw(context, spark: SparkResource):
        learnt = read_source(spark.session, source).limit(5)
        other = {days[2]: learnt.drop("income"), days[3]: learnt.drop("income"), days[4]: learnt.drop("id")}
        return {day: other.get(day, learnt) for day in context.partition_keys}

    after = dg.asset(name="after", deps=[raw])(lambda: None)
    checks = build_table_checks(
        "shop", ChecksSpec.model_validate({"columns": {"severity": "error", "blocking": True}})
    )
    again = dg.define_asset_job("again", dg.AssetSelection.checks_for_assets(raw))
    whole = dg.define_asset_job("whole", dg.AssetSelection.all())
    defs = dg.Definitions(
        [raw, after], jobs=[again, whole], asset_checks=checks, resources=default_resources()
    )
    with dg.DagsterInstance.ephemeral() as instance:

        def judged(job, **tags):
            done = defs.resolve_job_def(job).execute_in_process(
                instance=instance, raise_on_error=False, tags=tags
            )
            (check,) = done.get_asset_check_evaluations()
            assert bool(done.asset_materializations_for_node("after")) == (job == "whole" and check.passed)
            return check.passed, check.description, check.metadata

        over = {RANGE_START: days[0], RANGE_END: days[4]}
        for job, tags in (
            ("whole", over),
            ("again", {}),
        ):  # a check by itself is about all that was last written
            passed, said, more = judged(job, **tags)
            assert not passed
            assert (
                said
                == "'2026-01-03', '2026-01-04': columns changed since the champion learnt: 'income' is gone"
            )
            assert "gone, and the champion uses it | '2026-01-03', '2026-01-04' |" in more["changes"].value
            assert "no feature was made of it | '2026-01-05' |" in more["changes"].value
        passed, said, more = judged("whole", **{RANGE_START: days[0], RANGE_END: days[1]})
        assert passed
        assert said == "the 6 columns are those that the champion learnt from"


def test_row_counts_of_days_are_not_compared_with_those_of_weeks(tmp_path, monkeypatch, classic_spark):
    """A pipeline that goes from days to weeks, and then to none: what it has read so says nothing of what it reads now."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    days = pd.date_range("2026-01-05", periods=14).repeat(10)
    pd.DataFrame({"day": days.date, "leaves": "yes"}).to_parquet(tmp_path / "t.parquet")
    raw = dg.AssetKey(["p", "raw"])

    def read(instance, key, **cut):
        told = {
            "name": "p",
            "source": str(tmp_path / "t.parquet"),
            "label": "leaves",
            "checks": {"row_count": {}},
        }
        if cut:
            told["partitions"] = {"column": "day", "end": "2026-01-18"} | cut
        job = MLPipeline.model_validate(told).definitions().resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(instance=instance, asset_selection=[raw], partition_key=key)
        (check,) = done.get_asset_check_evaluations()
        return check.passed, check.description

    daily, weekly = {"daily": "2026-01-05"}, {"weekly": "2026-01-05"}
    other = "were never read before; what was read under another definition is not compared"
    with dg.DagsterInstance.ephemeral() as instance:
        assert "nothing was read before" in read(instance, "2026-01-05", **daily)[1]
        assert "10 rows, and 10 are usual" in read(instance, "2026-01-06", **daily)[1]
        passed, said = read(instance, "2026-01-05", **weekly)
        assert passed
        assert said == f"'2026-01-05': 70 rows, and other partitions (weekly) {other}"
        assert "70 rows, and 70 are usual" in read(instance, "2026-01-12", **weekly)[1]
        # Days are compared with days again, past the weeks in between.
        assert "10 rows, and 10 are usual" in read(instance, "2026-01-07", **daily)[1]
        passed, said = read(instance, None)
        assert passed
        assert "140 rows, and the whole table was never read before" in said
