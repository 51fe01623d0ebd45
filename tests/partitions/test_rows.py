"""Which rows belong to a partition, by the column's type and the zone in which a day begins."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as sf

from synml_dagster.errors import DataError
from synml_dagster.partitions import PartitionsSpec, newest, partitions_definition, rows_of, rows_outside

MIDNIGHTS = """
    SELECT id, to_timestamp(word) AS at FROM VALUES
    (1, '2026-03-28 22:59:59 UTC'), (2, '2026-03-28 23:00:00 UTC'), (3, '2026-03-29 21:59:59 UTC'),
    (4, '2026-03-29 22:00:00 UTC'), (5, NULL) AS t(id, word)
"""
"""Around a day of 23 hours in Berlin: 29 March 2026 is from 23:00 to 22:00 UTC."""


def ids(frame):
    return sorted(row.id for row in frame.collect())


@pytest.mark.parametrize("session_zone", ["UTC", "Asia/Tokyo"])
def test_a_day_begins_at_midnight_of_its_own_zone(spark, session_zone):
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", session_zone)
    try:
        frame = spark.sql(MIDNIGHTS)
        berlin = PartitionsSpec(column="at", daily="2026-03-29", timezone="Europe/Berlin")
        assert ids(rows_of(frame, berlin, "2026-03-29")) == [2, 3]
        assert ids(rows_of(frame, berlin.model_copy(update={"timezone": "UTC"}), "2026-03-29")) == [3, 4]
        assert rows_outside(frame, berlin) == 2  # before the first day, and without a time
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)


@pytest.mark.parametrize(
    "column",
    [
        "day",
        "CAST(day AS timestamp_ntz) + INTERVAL 23 HOURS",
        "string(day)",
        "concat(string(day), ' 23:59:59')",
    ],
)
def test_dates_and_words_that_are_dates_are_days(classic_spark, column):
    frame = classic_spark.sql(
        f"SELECT id, {column} AS `the day` FROM (SELECT id, date_add(DATE'2026-01-01', int(id)) AS day FROM range(4))"
    )
    spec = PartitionsSpec(column="the day", daily="2026-01-02", end="2026-01-03")
    assert ids(rows_of(frame, spec, "2026-01-02")) == [1]
    assert rows_outside(frame, spec) == 2


def keys_of(spec):
    return list(partitions_definition(spec).get_partition_keys())


@pytest.mark.parametrize(
    ("given", "keys", "rows"),
    [
        # 2026-01-01 is a Thursday.
        ({"weekly": "2026-01-05"}, ["2026-01-05", "2026-01-12"], [range(4, 11), range(11, 18)]),
        ({"weekly": "2026-01-01"}, ["2026-01-01", "2026-01-08"], [range(7), range(7, 14)]),
        ({"monthly": "2026-01-01"}, ["2026-01-01", "2026-02-01"], [range(31), range(31, 59)]),
        ({"monthly": "2026-01-15"}, ["2026-01-15", "2026-02-15"], [range(14, 45), range(45, 73)]),
    ],
)
def test_weeks_and_months_begin_where_the_first_does(classic_spark, given, keys, rows):
    frame = classic_spark.sql("SELECT id, date_add(DATE'2026-01-01', int(id)) AS day FROM range(90)")
    spec = PartitionsSpec(column="day", **given)
    assert keys_of(spec)[:2] == keys
    assert [ids(rows_of(frame, spec, key)) for key in keys] == [list(r) for r in rows]
    assert rows_outside(frame, spec) == rows[0][0]
    ended = spec.model_copy(update={"end": date(2026, 2, 20)})
    read = [i for key in keys_of(ended) for i in ids(rows_of(frame, ended, key))]
    assert rows_outside(frame, ended) == 90 - len(read)
    later = spec.model_copy(update={"end": date(2199, 12, 31)})  # of what is still to come nothing is outside
    assert rows_outside(frame, later) == rows[0][0]
    if "monthly" in given:  # what ends after the last day is no partition
        assert (
            keys_of(spec.model_copy(update={"end": date(2026, 2, 28)}))
            == keys[: 2 if spec.first.day == 1 else 1]
        )


def test_hours_are_those_of_the_zone_also_where_its_clock_is_put_forward_and_back(classic_spark):
    moments = classic_spark.sql(
        "SELECT id, timestamp_seconds(1774738800 + 1800 * id) AS at FROM range(8)"  # from 2026-03-29 00:00 in Berlin
    )
    spring = PartitionsSpec(
        column="at", hourly="2026-03-29T00:00", end="2026-03-29", timezone="Europe/Berlin"
    )
    assert keys_of(spring)[:3] == ["2026-03-29-00:00", "2026-03-29-01:00", "2026-03-29-03:00"]
    assert [ids(rows_of(moments, spring, key)) for key in keys_of(spring)[:4]] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]

    autumn = PartitionsSpec(
        column="at", hourly="2026-10-25T01:00", end="2026-10-25", timezone="Europe/Berlin"
    )
    hours = ["2026-10-25-01:00", "2026-10-25-02:00", "2026-10-25-02:00+0100", "2026-10-25-03:00"]
    assert keys_of(autumn)[:4] == hours
    moments = classic_spark.sql("SELECT id, timestamp_seconds(1792882800 + 1800 * id) AS at FROM range(8)")
    assert [ids(rows_of(moments, autumn, key)) for key in hours] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    # By a clock alone nobody knows which of the two hours it was: no row is lost, and none stands in both.
    clock = classic_spark.sql(
        "SELECT id, CAST('2026-10-25 01:00:00' AS timestamp_ntz) + make_interval(0, 0, 0, 0, 0, int(30 * id)) AS at FROM range(6)"
    )
    assert [ids(rows_of(clock, autumn, key)) for key in hours] == [[0, 1], [2, 3], [], [4, 5]]
    assert rows_outside(clock, autumn) == 0
    with pytest.raises(DataError, match="of type date, and hourly partitions need a time"):
        rows_of(classic_spark.sql("SELECT DATE'2026-01-01' AS at"), autumn, hours[0])


def test_the_newest_are_those_that_are_over():
    spec = PartitionsSpec(column="at", monthly="2026-01-01")
    assert newest(spec, None, datetime(2026, 6, 15, tzinfo=UTC), last=2) == ["2026-04-01", "2026-05-01"]


def test_values_are_compared_as_text(classic_spark):
    frame = classic_spark.sql("SELECT id, int(id % 3) AS shop FROM range(9)").withColumn(
        "shop", sf.expr("IF(id = 8, NULL, shop)")
    )
    spec = PartitionsSpec(column="shop", static=[0, 1])
    assert ids(rows_of(frame, spec, "1")) == [1, 4, 7]
    assert rows_outside(frame, spec) == 3


def test_a_column_that_cannot_say_the_day_is_named(classic_spark):
    frame = classic_spark.sql("SELECT 1.5D AS day, 2 AS signed_up")
    with pytest.raises(DataError, match="'day' is of type double, and daily partitions need a date"):
        rows_of(frame, PartitionsSpec(column="day", daily="2026-01-01"), "2026-01-01")
    with pytest.raises(DataError, match=r"no column 'signedup'.*Did you mean 'signed_up'"):
        rows_of(frame, PartitionsSpec(column="signedup", static=["a"]), "a")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "exactly one of hourly, daily, weekly, monthly, static, dynamic, or dimensions; it has none"),
        ({"static": ["a"], "dynamic": "b"}, "it has static and dynamic"),
        ({"static": ["a"], "end": "2026-01-01"}, "goes with partitions of time"),
        ({"daily": "2026-01-02", "end": "2026-01-01"}, "before the first day"),
        ({"weekly": "2026-01-02", "monthly": "2026-01-01"}, "it has weekly and monthly"),
        ({"hourly": "2026-01-02T00:30"}, "a full hour by the clock"),
        ({"hourly": "2026-01-02T00:00Z"}, "without an offset"),
        ({"monthly": "2025-12-15", "end": "2026-01-13"}, "before the first partition ends, with 2026-01-14"),
        ({"weekly": "2026-01-05", "end": "2026-01-10"}, "before the first partition ends, with 2026-01-11"),
        ({"monthly": "2026-01-31"}, "begins on day 31, which not every month has"),
        ({"static": ["a", "a"]}, "each of them once"),
        ({"static": []}, "one or more keys"),
        ({"daily": "2026-01-02", "timezone": "Mars/Olympus"}, "not a time zone"),
        ({"daily": "2026-01-02", "per_run": 0}, "per_run"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        PartitionsSpec(column="day", **given)
