"""Whole runs over hours of a night in which the clock is put back, one of them empty, with every check that looks at rows."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.partitions import keys_by_axis, newest
from synml_dagster.tables import open_table
from tests.pipeline.test_partitions import QUICKEST, run, told

NIGHT = pd.Timestamp("2026-10-24 22:00", tz="UTC")  # midnight in Berlin
HOURS = [
    "2026-10-25-00:00",
    "2026-10-25-01:00",
    "2026-10-25-02:00",
    "2026-10-25-02:00+0100",  # once more
    "2026-10-25-03:00",
    "2026-10-25-04:00",
]
EMPTY = 4
MINUTES = 60


def visits() -> pd.DataFrame:
    """One each minute of six hours, but none in the fifth."""
    place = np.arange(len(HOURS) * MINUTES)
    place = place[place // MINUTES != EMPTY]
    age = 18 + (place * 37) % 70
    return pd.DataFrame(
        {
            "id": place,
            "at": NIGHT + pd.to_timedelta(place, unit="min"),
            "age": age,
            "city": np.array(["Oslo", "Bern", "Rome"])[place % 3],
            "buys": np.where((age > 50) ^ (place % 3 == 0), "yes", "no"),
        }
    )


@pytest.fixture
def folder(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    table = pa.Table.from_pandas(visits())
    at = table.schema.get_field_index("at")
    table = table.set_column(at, "at", table["at"].cast(pa.timestamp("us", "UTC")))
    pq.write_table(table, tmp_path / "visits.parquet")
    return tmp_path


def described(folder, **more):
    return QUICKEST | {
        "name": "shop",
        "source": str(folder / "visits.parquet"),
        "label": "buys",
        "features": {"exclude": ["id", "at"]},
        "partitions": {
            "column": "at",
            "hourly": "2026-10-25T00:00",
            "end": "2026-10-25",
            "timezone": "Europe/Berlin",
        },
        **more,
    }


def ids_of(folder, stage, key):
    table = open_table(folder / "data" / "shop" / stage / "partitions" / key.replace(":", "%3A"))
    return [] if not table.rows else sorted(pq.read_table(table.path)["id"].to_pylist())


@pytest.mark.slow
def test_the_hours_of_a_night_that_has_one_twice_are_read_trained_on_and_scored(folder):
    checks = {
        "columns": {},
        "row_count": {},
        "nulls": {},
        "ranges": {},
        "duplicates": {"columns": ["id"]},
        "freshness": {"column": "at", "hours": 24},
        "predictions": {},
    }
    defs = MLPipeline.model_validate(
        described(folder, drift={}, checks=checks, explain={"rows": 20, "contributions": True})
    ).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(defs, "shop_train", instance, HOURS[0], HOURS[-1])
        assert instance.get_materialized_partitions(dg.AssetKey(["shop", "predictions"])) == set(HOURS)
        assert told(done, "features")[0]["dagster/row_count"] == len(visits())
        assert told(done, "raw")[0]["rows of no partition"] == 0
        for place, key in enumerate(HOURS):
            own = [] if place == EMPTY else list(range(place * MINUTES, (place + 1) * MINUTES))
            for stage in ("raw", "predictions", "contributions"):
                assert ids_of(folder, stage, key) == own, (stage, key)
        # The empty hour by itself, and the one that comes twice: whatever looks at rows finds none, and says so.
        before = open_table(
            folder / "data/shop/predictions/partitions" / HOURS[2].replace(":", "%3A")
        ).version
        done = run(defs, "shop_score", instance, HOURS[EMPTY])
        assert told(done, "predictions")[0]["dagster/partition_row_count"] == 0
        said = {c.check_name: (c.passed, c.description) for c in done.get_asset_check_evaluations()}
        assert {name for name, (passed, _) in said.items() if not passed} == {"row_count", "freshness"}, said
        done = run(defs, "shop_score", instance, HOURS[3])
        assert told(done, "predictions")[0]["dagster/partition_row_count"] == MINUTES
        after = open_table(folder / "data/shop/predictions/partitions" / HOURS[2].replace(":", "%3A")).version
        assert after == before  # the first of the two is another partition


@pytest.mark.slow
def test_days_of_a_window_around_the_change_are_whole_days_of_the_zone(folder):
    table = visits()
    partitions = {
        "column": "at",
        "daily": "2026-10-24",
        "end": "2026-10-25",
        "timezone": "Europe/Berlin",
        "window": 1,
    }
    spec = MLPipeline.model_validate(described(folder, partitions=partitions)).partitions
    assert newest(spec, None) == ["2026-10-25"]
    assert keys_by_axis(spec, "2026-10-25") == {"": "2026-10-25"}
    defs = MLPipeline.model_validate(
        described(folder, partitions=partitions, promote={"below_baseline": True})
    ).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        # The day before has no row at all, and is read, and is no part of the window of one day.
        done = run(defs, "shop_train", instance, "2026-10-24", "2026-10-25")
        assert told(done, "features")[0]["dagster/row_count"] == len(table)
        assert ids_of(folder, "predictions", "2026-10-24") == []
        assert ids_of(folder, "predictions", "2026-10-25") == sorted(table["id"])
