"""`checks` in a description: each passes on the rows that were learnt, and names columns and values where they are others."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster import MLPipeline
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
