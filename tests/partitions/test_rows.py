"""Which rows belong to a partition, by the column's type and the zone in which a day begins."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as sf

from synml_dagster.errors import DataError
from synml_dagster.partitions import PartitionsSpec, rows_of, rows_outside

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
        assert rows_outside(frame, berlin, []) == 2  # before the first day, and without a time
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
    assert rows_outside(frame, spec, []) == 2


def test_values_are_compared_as_text(classic_spark):
    frame = classic_spark.sql("SELECT id, int(id % 3) AS shop FROM range(9)").withColumn(
        "shop", sf.expr("IF(id = 8, NULL, shop)")
    )
    spec = PartitionsSpec(column="shop", static=[0, 1])
    assert ids(rows_of(frame, spec, "1")) == [1, 4, 7]
    assert rows_outside(frame, spec, spec.static) == 3


def test_a_column_that_cannot_say_the_day_is_named(classic_spark):
    frame = classic_spark.sql("SELECT 1.5D AS day, 2 AS signed_up")
    with pytest.raises(DataError, match="'day' is of type double, and daily partitions need a date"):
        rows_of(frame, PartitionsSpec(column="day", daily="2026-01-01"), "2026-01-01")
    with pytest.raises(DataError, match=r"no column 'signedup'.*Did you mean 'signed_up'"):
        rows_of(frame, PartitionsSpec(column="signedup", static=["a"]), "a")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "exactly one of daily, static and dynamic; it has none"),
        ({"static": ["a"], "dynamic": "b"}, "it has static and dynamic"),
        ({"static": ["a"], "end": "2026-01-01"}, "goes with partitions.daily"),
        ({"daily": "2026-01-02", "end": "2026-01-01"}, "before the first day"),
        ({"static": ["a", "a"]}, "each of them once"),
        ({"static": []}, "one or more keys"),
        ({"daily": "2026-01-02", "timezone": "Mars/Olympus"}, "not a time zone"),
        ({"daily": "2026-01-02", "per_run": 0}, "per_run"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        PartitionsSpec(column="day", **given)
