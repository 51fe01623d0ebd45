"""Two columns cut a table: a partition for each pair of their keys."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.partitions import (
    PartitionsSpec,
    keys_by_axis,
    newest,
    newest_read,
    partitions_definition,
    rows_of,
    rows_outside,
    run_for,
)
from synml_dagster.partitions.definition import RANGE_END, RANGE_START

DAY = {"column": "day", "daily": "2026-01-01", "end": "2026-01-03"}
REGION = {"column": "region", "static": ["north", "south"]}
# By their names the region stands first in a key, and the day is the one of time.
AREA_FIRST = PartitionsSpec(dimensions={"time": DAY, "area": REGION})


def ids(frame):
    return sorted(row.id for row in frame.collect())


@pytest.fixture
def visits(spark):
    """Ids 0 to 7: two days of three regions, one without a region, one without a day."""
    return spark.sql(
        "SELECT id, date(day) AS day, region FROM VALUES"
        " (0, '2026-01-01', 'north'), (1, '2026-01-01', 'south'), (2, '2026-01-02', 'north'), (3, '2026-01-02', 'south'),"
        " (4, '2026-01-02', 'north'), (5, '2026-01-02', 'west'), (6, '2026-01-03', NULL), (7, NULL, 'north') AS t(id, day, region)"
    )


def test_rows_of_a_pair_are_those_of_both_keys(visits):
    spec = PartitionsSpec(dimensions={"day": DAY, "region": REGION})
    keys = list(partitions_definition(spec).get_partition_keys())
    assert keys == [f"2026-01-0{day}|{region}" for day in (1, 2, 3) for region in ("north", "south")]
    assert [ids(rows_of(visits, spec, key)) for key in keys] == [[0], [1], [2, 4], [3], [], []]
    assert rows_outside(visits, spec) == 3  # of another region, and without one or without a day
    assert ids(rows_of(visits, AREA_FIRST, "north|2026-01-02")) == [2, 4]


def test_both_filters_reach_the_reader(classic_spark, tmp_path, capsys):
    classic_spark.sql("SELECT id, DATE'2026-01-01' AS day, int(id % 5) AS shop FROM range(20)").write.parquet(
        str(tmp_path / "visits")
    )
    spec = PartitionsSpec(
        dimensions={"day": DAY, "shop": {"column": "shop", "static": [0, 1, 2, 3, 4, "05"]}}
    )
    shown = classic_spark.conf.get("spark.sql.maxMetadataStringLength")
    classic_spark.conf.set("spark.sql.maxMetadataStringLength", 1000)
    try:
        frame = classic_spark.read.parquet(str(tmp_path / "visits"))
        rows = rows_of(frame, spec, "2026-01-01|3")
        assert ids(rows) == [3, 8, 13, 18]
        rows.explain()
    finally:
        classic_spark.conf.set("spark.sql.maxMetadataStringLength", shown)
    pushed = capsys.readouterr().out.split("PushedFilters:")[1]
    assert "GreaterThanOrEqual(day,2026-01-01)" in pushed
    assert "EqualTo(shop,3)" in pushed
    assert ids(rows_of(frame, spec, "2026-01-01|05")) == []  # which is no number as it is written


def test_the_newest_are_all_regions_of_the_last_days(visits):
    at = datetime(2026, 1, 3, 12, tzinfo=UTC)
    keys = newest(AREA_FIRST, None, at)
    assert keys == ["north|2026-01-02", "south|2026-01-02"]
    keys = newest(AREA_FIRST, None, at, last=2)
    assert keys == ["north|2026-01-01", "north|2026-01-02", "south|2026-01-01", "south|2026-01-02"]
    request = run_for(keys, {})
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("north|2026-01-01", "south|2026-01-02")
    # A range of Dagster's is one of each dimension: it asks for these four and no others.
    key_range = dg.PartitionKeyRange(request.tags[RANGE_START], request.tags[RANGE_END])
    assert list(partitions_definition(AREA_FIRST).get_partition_keys_in_range(key_range)) == keys


def test_the_newest_that_were_read_are_those_of_the_last_day_that_was(visits):
    raw = dg.AssetKey("raw")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        for key in ("north|2026-01-02", "south|2026-01-01"):
            instance.report_runless_asset_event(dg.AssetMaterialization(raw, partition=key))
        assert newest_read(AREA_FIRST, context, raw) == ["north|2026-01-02", "south|2026-01-02"]
        # What was read before there were two columns goes on to stand in the asset's history.
        instance.report_runless_asset_event(dg.AssetMaterialization(raw, partition="2026-01-03"))
        assert newest_read(AREA_FIRST, context, raw) == ["north|2026-01-02", "south|2026-01-02"]
        assert len(newest_read(AREA_FIRST, context, raw, last=2)) == 4


def test_keys_of_a_dimension_may_turn_up(visits):
    spec = PartitionsSpec(dimensions={"day": DAY, "region": {"column": "region", "dynamic": "regions"}})
    at = datetime(2026, 1, 3, 12, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        assert newest(spec, context, at) == []
        instance.add_dynamic_partitions("regions", ["west", "north"])
        assert newest(spec, context, at) == ["2026-01-02|west", "2026-01-02|north"]
        assert rows_outside(visits, spec, {"regions": ["west", "north"]}) == 4
        instance.add_dynamic_partitions("regions", ["a|b"])
        with pytest.raises(ConfigError, match=r"hold the key 'a\|b'.*Delete the key"):
            newest(spec, context, at)


def test_two_of_values_have_no_newest_and_ask_for_all():
    spec = PartitionsSpec(dimensions={"shop": {"column": "shop", "static": [1, 2]}, "region": REGION})
    assert spec.of_time is None
    assert newest(spec, None) == ["north|1", "north|2", "south|1", "south|2"]
    assert keys_by_axis(spec, "north|2") == {"region": "north", "shop": "2"}


def test_a_column_that_is_missing_is_named_with_its_dimension(visits):
    spec = PartitionsSpec(dimensions={"day": DAY, "region": REGION | {"column": "regoin"}})
    with pytest.raises(DataError, match=r"dimensions\.region\.column: .*'regoin'.*Did you mean 'region'"):
        rows_of(visits, spec, "2026-01-01|north")
    spec = PartitionsSpec(dimensions={"day": DAY | {"column": "id"}, "region": REGION})
    with pytest.raises(DataError, match=r"dimensions\.day\.column: 'id' is of type int, and daily"):
        rows_of(visits, spec, "2026-01-01|north")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dimensions": {"day": DAY}}, "has 1, and Dagster's partitions have two dimensions"),
        (
            {"dimensions": {"day": DAY, "region": REGION, "shop": {"column": "shop", "static": ["a"]}}},
            "has 3, .*Make one column of two",
        ),
        ({"dimensions": {"day": DAY, "region": {"static": ["a"]}}}, r"dimensions\.region\.column"),
        ({"dimensions": {"day": DAY, "region": {"column": "region"}}}, "it has none of them"),
        (
            {"dimensions": {"day": DAY, "region": REGION | {"dynamic": "regions"}}},
            "a dimension needs exactly one of .* it has static and dynamic",
        ),
        ({"dimensions": {"day": DAY, "hour": {"column": "at", "hourly": "2026-01-01T00:00"}}}, "two of time"),
        ({"dimensions": {"day": DAY, "region": REGION | {"column": "day"}}}, "the column 'day' twice"),
        ({"dimensions": {"day": DAY, "the region": REGION}}, "'the region' cannot name a dimension"),
        (
            {"dimensions": {"day": DAY, "region": {"column": "r", "static": ["a|b"]}}},
            r"has 'a\|b', and Dagster",
        ),
        ({"dimensions": {"day": DAY, "region": REGION}, "column": "day"}, "has dimensions and column"),
        (
            {"dimensions": {"day": DAY, "region": REGION}, "daily": "2026-01-01", "timezone": "UTC"},
            "has dimensions and daily and timezone; .*put them there",
        ),
        (
            {"dimensions": {"shop": {"column": "shop", "static": [1]}, "region": REGION}, "window": 2},
            "window is about the newest .* no dimension is one of time",
        ),
        (
            {"dimensions": {"a": {"column": "a", "dynamic": "d"}, "b": {"column": "b", "dynamic": "d"}}},
            "the keys of both from the dynamic partitions 'd'",
        ),
        ({"column": "a", "static": ["a...b"]}, "which cannot be a partition"),
        ({"column": "a", "static": [""]}, "which cannot be a partition"),
        ({"column": "a", "static": ["a\n"]}, "which cannot be a partition"),
        ({"column": "a", "dynamic": " "}, "dynamic needs the name"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        PartitionsSpec(**given)
