"""Dates as people and their programs write them are the days that were meant, in Python, in Spark and in the graph."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster.columns.time_format import PATTERNS, recognise
from synml_dagster.columns.time_parsing import parse_text
from synml_dagster.errors import ConfigError
from synml_dagster.features import ColumnSpec, FeatureSpec, assemble, fit_plan, onnx_model
from synml_dagster.features.fitting.guess import guess_number, guess_words
from synml_dagster.onnx import OnnxModel, Scorer

MOMENTS = pd.Timestamp("2021-01-01") + pd.to_timedelta(
    np.random.default_rng(0).integers(0, 900 * 1440, 300), unit="min"
)
WAYS = {
    "M/d/yyyy H:mm": [f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}" for t in MOMENTS],
    "M/d/yyyy": [f"{t.month}/{t.day}/{t.year}" for t in MOMENTS],
    "d.M.yyyy H:mm": [f"{t.day}.{t.month}.{t.year} {t.hour}:{t.minute:02d}" for t in MOMENTS],
    "M/d/yyyy h:mm a": [f"{t.month}/{t.day}/{t.year} {(t.hour + 11) % 12 + 1}:{t:%M %p}" for t in MOMENTS],
    "d-MMM-yyyy": [f"{t:%d-%b-%Y}" for t in MOMENTS],
    "d-MMM-yy": [f"{t:%d-%b-%y}".upper() for t in MOMENTS],
    "MMM d, yyyy": [f"{t:%B} {t.day}, {t.year}" for t in MOMENTS],
    "yyyyQq": [f"{t.year}Q{t.quarter}" for t in MOMENTS],
    "yyyy-MM": [f"{t:%Y-%m}" for t in MOMENTS],
    "yyyy-MM-dd H:mm": [f"{t:%Y-%m-%d %H:%M}" for t in MOMENTS],
    "yyyy-MM-ddTHH:mm:ss.SZ": [f"{t:%Y-%m-%dT%H:%M}:07.25Z" for t in MOMENTS],
    "yyyy-MM-dd HH:mm:ss.S+hh": [f"{t + pd.Timedelta(hours=2):%Y-%m-%d %H:%M:07.250001}+02" for t in MOMENTS],
    "yyyy-MM-ddTHH:mm:ss.S-hh:mm": [
        f"{t - pd.Timedelta(hours=3.5):%Y-%m-%dT%H:%M:07.250}-03:30" for t in MOMENTS
    ],
    "yyyy-MM-dd HH:mm:ss,S": [f"{t:%Y-%m-%d %H:%M}:07,250" for t in MOMENTS],
    "MMM-yy": [f"{t:%b-%y}" for t in MOMENTS],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_day_that_was_meant_is_read_in_spark_and_in_the_graph(classic_spark, way):
    words = WAYS[way]
    assert recognise(words) == way
    y = np.where(MOMENTS.month > 6, "late", "early").tolist()
    frame = classic_spark.createDataFrame(pa.table({"when": words, "y": y}))
    spec = FeatureSpec(overrides={"when": ColumnSpec(kind="datetime", parts=["days"])})
    plan = fit_plan(frame, name="p", label="y", features=spec)
    assert plan.columns[0].written == way
    meant = MOMENTS if PATTERNS[way].has_time else MOMENTS.normalize()
    if way == "yyyyQq":
        meant = MOMENTS.to_period("Q").to_timestamp()
    elif "S" in way:
        meant = MOMENTS + pd.Timedelta(seconds=7.25)
    elif way in ("yyyy-MM", "MMM-yy"):
        meant = MOMENTS.to_period("M").to_timestamp()
    wanted = ((meant - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)).to_numpy().astype(np.float32)
    by_spark = assemble(frame, plan, training=False).toPandas().iloc[:, 0].to_numpy()
    np.testing.assert_allclose(np.sort(by_spark), np.sort(wanted))
    by_graph = Scorer(OnnxModel(onnx_model(plan))).score(pa.table({"when": words})).column(0)
    np.testing.assert_allclose(np.array(by_graph.to_pylist(), dtype=np.float32), wanted)


@pytest.mark.parametrize(
    ("text", "way", "day"),
    [
        ("3/4/2022", "d/M/yyyy", dt.date(2022, 4, 3)),
        ("3/4/2022", "M/d/yyyy", dt.date(2022, 3, 4)),
        ("29.2.2023", "d.M.yyyy", None),
        ("1/1/69", "d/M/yy", dt.date(1969, 1, 1)),
        ("1/1/68", "d/M/yy", dt.date(2068, 1, 1)),
        ("03-Foo-2022", "d-MMM-yyyy", None),
        ("2022Q5", "yyyyQq", None),
        ("Jun-22", "MMM-yy", dt.date(2022, 6, 1)),
    ],
)
def test_one_value(text, way, day):
    read = parse_text(text, PATTERNS[way])
    if day is None:
        assert np.isnan(read)
    else:
        assert read == (day - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("clock", "hour"), [("12:05 AM", 0), ("12:05 PM", 12), ("1:05 PM", 13), ("11:05 am", 11)]
)
def test_noon_and_midnight(clock, hour):
    assert parse_text(f"1/1/1970 {clock}", PATTERNS["M/d/yyyy h:mm a"]) == (hour * 60 + 5) * 60e6


def test_which_is_the_month_is_asked_where_no_value_tells(classic_spark):
    words = [f"{i % 12 + 1}/{i % 11 + 1}/{2000 + i % 20}" for i in range(300)]
    frame = classic_spark.createDataFrame(pa.table({"when": words, "y": ["a", "b"] * 150}))
    plan = fit_plan(frame, name="p", label="y")
    assert plan.columns[0].written == "d/M/yyyy"
    said = "features.overrides.when.written"
    assert any("M/d/yyyy would read all of its values, too" in w and said in w for w in plan.warnings)
    told = FeatureSpec(overrides={"when": ColumnSpec(written="M/d/yyyy")})
    again = fit_plan(frame, name="p", label="y", features=told)
    assert again.columns[0].written == "M/d/yyyy"
    assert not any(said in w for w in again.warnings)
    with pytest.raises(ConfigError, match="Did you mean 'M/d/yyyy'"):
        fit_plan(
            frame,
            name="p",
            label="y",
            features=FeatureSpec(overrides={"when": ColumnSpec(written="m/d/yyyy")}),
        )


def test_a_few_values_that_are_no_dates_are_missing_and_said(classic_spark):
    words = list(WAYS["d.M.yyyy H:mm"])
    for i in range(6):
        words[i * 40] = f"soon {'abcdef'[i]}"
    frame = classic_spark.createDataFrame(pa.table({"when": words, "y": ["a", "b"] * 150}))
    plan = fit_plan(frame, name="p", label="y")
    assert plan.columns[0].written == "d.M.yyyy H:mm"
    assert any("sampled values, such as 'soon" in w for w in plan.warnings)


@pytest.mark.parametrize(
    ("text", "way", "seconds"),
    [
        ("1970-01-01T00:00:01.5Z", "yyyy-MM-ddTHH:mm:ss.SZ", 1.5),
        ("1970-01-01T00:00:01Z", "yyyy-MM-ddTHH:mm:ss.SZ", 1),
        ("1970-01-01 01:30:00+0130", "yyyy-MM-dd HH:mm:ss.S+hhmm", 0),
        ("1969-12-31T19:00:00.123456789-05:00", "yyyy-MM-ddTHH:mm:ss.S-hh:mm", 0.123456),
        ("1970-01-01 00:01 UTC", "yyyy-MM-dd HH:mm UTC", 60),
    ],
)
def test_a_moment_of_another_clock(text, way, seconds):
    assert parse_text(text, PATTERNS[way]) == seconds * 1e6


def test_a_date_that_comes_typed_is_read_by_a_plan_that_has_learnt_it_as_text(classic_spark):
    from synml_dagster.columns.convert import converted
    from synml_dagster.columns.raw import raw_inputs

    frame = classic_spark.sql("SELECT timestamp'2022-06-03 14:05:06.25' AS t, date'2022-06-03' AS d")
    at, day = raw_inputs(frame.schema)[0]
    for way, pattern in PATTERNS.items():
        for raw in (at, day):
            plan = raw.model_copy(update={"storage": "string", "time_way": way})
            text = frame.select(converted(raw, plan)[0].alias("x")).first()[0]
            meant = pd.Timestamp("2022-06-03 14:05:06.25") if raw is at else pd.Timestamp("2022-06-03")
            if not pattern.has_time:
                meant = meant.to_period(
                    {"q": "Q", "m": "M"}.get("d" if "d" in pattern.order else pattern.order.strip("y"), "D")
                ).to_timestamp()
            unit = 1 if pattern.has_time else 86_400_000_000
            lost = (meant.value // 1000 // unit) - parse_text(text, pattern)
            assert 0 <= lost < (60_000_000 if pattern.has_time else 1), (way, text)


def test_dates_that_are_whole_numbers_are_said_and_numbers_that_only_look_like_some_are_not():
    days = [float(f"{t:%Y%m%d}") for t in MOMENTS]
    said = guess_number("day", "integer", days, 300, min(days), max(days)).warning
    assert f"such as {days[0]:.0f}, and is used as numbers" in said
    prices = [20_210_100.0 + i for i in range(300)]
    assert "dates" not in guess_number("price", "integer", prices, 300, min(prices), max(prices)).warning


@pytest.mark.parametrize(
    ("few", "said"),
    [
        (["2024-01-03", "01/04/2024", "2024-01-05"], True),
        (["5%", "0.05", "7%"], True),
        (["$5", "€7", "5 €"], True),
        (["10-19", "20-29", "40+"], False),
        (["1.2.3", "1.2.10", "2.0"], False),
        (["1", "2", "3"], False),
        (["A-2024", "01/04/2024"], False),
    ],
)
def test_a_few_values_of_no_one_way_are_said(few, said):
    guess = guess_words("d", few * 40, len(few), 40 * len(few))
    assert guess.kind == "categorical"
    assert bool(guess.warning) == said
