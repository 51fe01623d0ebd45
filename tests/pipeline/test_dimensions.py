"""A pipeline whose table is cut by two columns: read and scored by pairs of keys, trained on the newest days of all regions."""

from __future__ import annotations

import re

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dagster import DagsterUnknownPartitionError
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.tables import open_table
from tests.pipeline.test_partitions import DAYS, description, folder, run, told, visits

__all__ = ["folder"]

CITIES = ["Bern", "Oslo"]  # and Rome, which is in no partition
DIMENSIONS = {
    "day": {"column": "day", "daily": DAYS[0], "end": DAYS[-1]},
    "city": {"column": "city", "static": CITIES},
}


def pair(folder, stage, city, day):
    return open_table(folder / "data" / "shop" / stage / "partitions" / f"{city}%7C{day}")


def rows(city, *days):
    table = visits()
    return int(((table["city"] == city) & table["day"].isin(days)).sum())


@pytest.mark.slow
def test_pairs_are_read_scored_and_replaced_one_by_one_and_the_window_is_of_days(folder):
    described = description(
        folder,
        partitions={"dimensions": DIMENSIONS, "window": 1},
        checks={"row_count": {"at_least": 0.9}},
        promote={"below_baseline": True},  # of few rows
    )
    defs = MLPipeline.model_validate(described).definitions()
    raw, predictions = (dg.AssetKey(["shop", s]) for s in ("raw", "predictions"))
    with dg.DagsterInstance.ephemeral() as instance:
        # A day that was read before the description had two columns is compared with none of them.
        rows_then = {"dagster/partition_row_count": 1000}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(raw, partition=DAYS[0], metadata=rows_then)
        )
        # The first two days of both cities, and one city alone on the third.
        done = run(defs, "shop_train", instance, f"Bern|{DAYS[0]}", f"Oslo|{DAYS[1]}")
        both = {f"{city}|{day}" for city in CITIES for day in DAYS[:2]}
        assert instance.get_materialized_partitions(raw) == both | {DAYS[0]}
        assert instance.get_materialized_partitions(predictions) == both
        # Trained on both cities of the last day, though in the order of the keys Oslo's come last.
        assert told(done, "features")[0]["dagster/row_count"] == sum(rows(c, DAYS[1]) for c in CITIES)
        assert told(done, "raw")[0]["rows of no partition"] == rows("Rome", *DAYS) + 2
        counts = {
            o.partition: o.metadata["dagster/partition_row_count"].value
            for e in done.all_node_events
            if e.event_type_value == "ASSET_OBSERVATION" and (o := e.asset_observation_data.asset_observation)
            if o.asset_key == predictions
        }
        assert counts == {f"{city}|{day}": rows(city, day) for city in CITIES for day in DAYS[:2]}
        each = {m.partition: m.metadata for m in done.asset_materializations_for_node("shop__predictions")}
        before = {key: each[key]["version"].value for key in both}
        assert len(set(before.values())) == len(both)

        done = run(defs, "shop_score", instance, f"Oslo|{DAYS[1]}")
        assert told(done, "predictions")[0]["dagster/partition_row_count"] == rows("Oslo", DAYS[1])
        scored = {
            (city, day): pq.read_table(pair(folder, "predictions", city, day).path).to_pandas()
            for city in CITIES
            for day in DAYS[:2]
        }
        table = visits()
        for (city, day), found in scored.items():  # each pair has its own rows, and no other's
            own = table[(table["city"] == city) & (table["day"] == day)]
            assert sorted(found["id"]) == sorted(own["id"])
            assert (pair(folder, "predictions", city, day).version == before[f"{city}|{day}"]) == (
                (city, day) != ("Oslo", DAYS[1])
            )
        # What other readers find: a folder for each pair, under its key.
        whole = pd.read_parquet(folder / "data" / "shop" / "predictions")
        assert set(whole["partition"]) == both
        assert len(whole) == sum(map(len, scored.values()))

        done = run(defs, "shop_score", instance, f"Bern|{DAYS[3]}")  # a day without rows
        assert told(done, "predictions")[0]["dagster/partition_row_count"] == 0
        # Compared with Bern's other days, and not with Oslo's.
        (check,) = [c for c in done.get_asset_check_evaluations() if c.check_name == "row_count"]
        assert not check.passed
        assert f"0 rows, and {rows('Bern', DAYS[0], DAYS[1]) / 2:g} are usual" in check.description


def test_a_key_that_is_no_pair_is_refused_by_name(folder):
    defs = MLPipeline.model_validate(description(folder, partitions={"dimensions": DIMENSIONS})).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        for key in (f"Rome|{DAYS[0]}", "Bern|yesterday", f"Bern|{DAYS[0]}|x", DAYS[0]):
            with pytest.raises(DagsterUnknownPartitionError, match=re.escape(key)):
                run(defs, "shop_score", instance, key)


def test_the_newest_are_not_asked_for_where_no_dimension_is_of_time(folder):
    shops = {"shop": {"column": "shop", "static": ["a", "b"]}, "city": DIMENSIONS["city"]}
    live = {"labels": "labels.csv", "key": ["id"], "last": 2}
    described = description(folder, partitions={"dimensions": shops}, live=live)
    with pytest.raises(ValidationError, match=r"live\.last is about the newest .* no dimension"):
        MLPipeline.model_validate(described)
    MLPipeline.model_validate(described | {"partitions": {"dimensions": DIMENSIONS}})
