"""Rows that come as Python values are read as Spark reads a table of them, and scored to the same bit."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyspark.sql import functions as sf

from synml_dagster.columns import RawInput
from synml_dagster.columns.values import UnreadValueError, java_text, value_reader
from synml_dagster.columns.written_times import written_days, written_micros
from synml_dagster.errors import DataError, ModelError
from synml_dagster.export.adversarial import adversarial_rows
from synml_dagster.onnx import RowScorer, Scorer, score
from synml_dagster.onnx.row_scorer import joined
from synml_dagster.onnx.scorer import REASON
from tests.onnx.conftest import LABELS

NAN = float("nan")


def bits(values: list) -> bytes | list:
    """Numbers by their bits, so that NaN is NaN and -0.0 is not 0.0."""
    if values and isinstance(values[0], float):
        return np.array(values, np.float64).tobytes()
    return values


@pytest.mark.parametrize("label", LABELS)
def test_values_are_scored_as_arrow_is_to_the_last_bit(table, pipelines, exported, label):
    plan, model = pipelines[label]
    raw = table.select([r.name for r in plan.raw_inputs])
    awkward = adversarial_rows(raw, plan, model)
    rows = pa.concat_tables([raw, awkward])
    by_rows, by_arrow = RowScorer(exported[label]), Scorer(exported[label]).score(rows)
    values = rows.to_pydict()
    at_once = by_rows.score(by_rows.read(values, rows.num_rows))
    assert list(at_once) == by_rows.schema.names == by_arrow.schema.names
    assert by_rows.schema == by_arrow.schema
    for name in at_once:
        assert bits(at_once[name]) == bits(by_arrow.column(name).to_pylist()), name
    # One by one, and several at once: how many rows stand together makes no difference.
    parts = [
        by_rows.read({k: v[i : i + 1] for k, v in values.items()}, 1) for i in range(0, rows.num_rows, 7)
    ]
    alone = [by_rows.score(part) for part in parts]
    together = by_rows.score(joined(parts))
    for name in at_once:
        assert bits([one[name][0] for one in alone]) == bits(at_once[name][::7])
        assert bits(together[name]) == bits(at_once[name][::7])


TEXTS = {
    "age": ["39", " 39 ", "39.0", "39.5", "1e1", "", "n/a", "x", "3_9", "1,000", "2147483648", "-2147483648", "0x1p3", "NaN", "inf", "7f"],
    "in.come": ["1.5", "-0.0", ".5", "5.", "1e400", "1d", "nan", "Infinity", "+inf", "--", "1 000", "٣", "\t2\n"],
    "height": ["170", "3.5e38", "inf", "1e-60", "tall", "-", "170.25"],
    "city": ["Ghent", "", " Ghent", "39", "nan", "\x00", "São Paulo"],
    "member": ["true", "T", "yes", "0", " 1 ", "no", "maybe", "2", "", "null", "TRUE\n", "Y"],
    "joined": ["2021-03-04", "2021-3-4", "2021-03-04T10:00", "2021-02-30", "04.03.2021", "", "?", "2021", "20210304"],
    "seen": ["2021-03-04 10:00:00", "2021-03-04T10:00:00Z", "2021-03-04T10:00:00.123456789+02:00", "2021-03-04", "2021-03-04 10", "2021-03-04 24:00:00", "2021-03-04T10:00:00 Europe/Berlin", "soon", "", "2021-03-04 10:00:00-01:00:30"],
    "weight": ["70.5", "x", "", "1e39"],
    "visits": ["3", "3.0", "-1", "many", "1e3", "0b1"],
}  # fmt: skip


def test_text_in_any_column_is_read_as_spark_reads_it(classic_spark, exported):
    """Each of the texts in its column, beside values that are all right; the same rows, and the same reasons, on Spark."""
    model = exported["amount"]
    plain = {name: words[0] for name, words in TEXTS.items()}
    rows = [plain | {name: word} for name, words in TEXTS.items() for word in words]
    frame = classic_spark.createDataFrame(
        [(i, *row.values()) for i, row in enumerate(rows)],
        "id int, " + ", ".join(f"`{n}` string" for n in plain),
    )
    scored = score(frame, model, keep=["id"], bad_rows="mark").toArrow().sort_by("id").to_pylist()
    scorer = RowScorer(model)
    seen = set()
    for row, there in zip(rows, scored, strict=True):
        values = {name: [value] for name, value in row.items()}
        if there[REASON] is None:
            assert scorer.score(scorer.read(values, 1))["prediction"] == [there["prediction"]], row
        else:
            with pytest.raises(DataError) as told:
                scorer.read(values, 1)
            assert str(told.value) == f"row 0: {there[REASON]}."
            seen.add(there[REASON].split("'")[1])
    assert seen == set(TEXTS) - {"city"}, "each column had texts that it cannot hold, but for that of text"


OF_NUMBERS = {
    "double": [1.0, 39.0, 39.5, 1e7, 1234567.891, 12345678.9, 1e15, 1e16, 0.001, 0.0625, 1e-5, -0.0, 3e9, NAN, math.inf, 1e308, 2.0],
    "bigint": [1, 39, 0, -7, 2**31, 2**53 + 1, 2**62, 16777217],
    "float": [1.5, 39.0, 0.1, 16777216.0, 1e10],
    "boolean": [True, False],
}  # fmt: skip


@pytest.mark.parametrize("given", OF_NUMBERS)
def test_numbers_in_any_column_are_read_as_spark_reads_them(classic_spark, exported, given):
    model, values = exported["amount"], OF_NUMBERS[given]
    plain = {name: words[0] for name, words in TEXTS.items()}
    names = [name for name in plain if name not in ("joined", "seen")]
    scorer = RowScorer(model)
    convert = np.float32 if given == "float" else (lambda v: v)
    for name in names:
        others = {n: v for n, v in plain.items() if n != name}
        kind = f"id int, `{name}` {given}, " + ", ".join(f"`{n}` string" for n in others)
        frame = classic_spark.createDataFrame([(i, v, *others.values()) for i, v in enumerate(values)], kind)
        scored = score(frame, model, keep=["id"], bad_rows="mark").toArrow().sort_by("id").to_pylist()
        for value, there in zip(values, scored, strict=True):
            row = {n: [v] for n, v in others.items()} | {name: [convert(value)]}
            if there[REASON] is None:
                assert scorer.score(scorer.read(row, 1))["prediction"] == [there["prediction"]], (name, value)
            else:
                with pytest.raises(DataError) as told:
                    scorer.read(row, 1)
                if abs(value) < 2**63:  # Spark says of a larger one that it is not whole
                    assert str(told.value) == f"row 0: {there[REASON]}.", (name, value)
    if given == "double":
        for name in ("joined", "seen"):
            with pytest.raises(DataError, match=f"'{name}' is a number where the model takes a"):
                scorer.read({n: [v] for n, v in plain.items()} | {name: [1.0]}, 1)


def test_moments_are_cast_as_spark_casts_them(classic_spark):
    days = ["2020-01-31", "2020-7-3", "2020", "2020-1", "2020-1-", "202-01-01", "0001-01-01", "9999-12-31", "2020-02-29", "2021-02-29", "2020/01/31", "20200131", "2020-01-31T", "2020-01-31 foo"]  # fmt: skip
    clocks = ["", "1:2:3", "12:30:15.", "12:30:15.1", "12:30:15.123456789", "24:00:00", "23:59:60", "12", "12:30", "12:", "12:30:15.5.5"]  # fmt: skip
    zones = ["", "Z", " UTC", "+01:00", "+0100", "+1", "GMT+1", "UTC+01:30", "Europe/Berlin", "CET", "z", "+19:00", "+18:00", "-01:00:30", "+1:5", "+01:60", " -08:00"]  # fmt: skip
    texts = days + [f"{d}{s}{c}{z}" for d in days[:2] for s in " T" for c in clocks for z in zones]
    frame = classic_spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, t string")
    at = sf.trim("t")
    there = frame.select(
        "i",
        sf.unix_date(at.try_cast("date")).cast("double").alias("days"),
        sf.unix_micros(at.try_cast("timestamp")).cast("double").alias("micros"),
        sf.unix_micros(at.try_cast("timestamp_ntz").cast("timestamp")).cast("double").alias("clock"),
    ).collect()
    for i, of_day, micros, clock in there:
        text = texts[i].strip(" ")
        assert (written_days(text), written_micros(text), written_micros(text, True)) == (of_day, micros, clock), text  # fmt: skip


@given(st.floats(allow_nan=False))
@example(9007199254740993.0)
@example(5e-324)
@example(0.0625)
def test_doubles_are_written_so_that_they_are_read_again(value):
    assert float(java_text(value).replace("Infinity", "inf")) == value


def raw(storage: str, kind: str, **more) -> RawInput:
    return RawInput(name="c", path=("c",), spark_type=kind, storage=storage, onnx_type="double", **more)


@pytest.mark.parametrize(
    ("column", "value", "read"),
    [
        (raw("string", "string"), Decimal("1.50"), "1.5"),
        (raw("string", "string"), dt.date(2020, 1, 2), "2020-01-02"),
        (raw("string", "string"), dt.datetime(2020, 1, 2, 3, 4, 5, 500_000), "2020-01-02 03:04:05.5"),
        (raw("string", "string", padded=3), 7, "007"),
        (raw("string", "string", padded=3), 7.0, "007"),
        (raw("string", "string", number_marks=(",", ".", "", False)), 1.5, "1,5"),
        (raw("integer", "bigint"), 2**63 - 1, 2**63 - 1),
        (raw("integer", "tinyint"), -128.0, -128.0),
        (raw("number", "decimal(10,2)"), Decimal("2.50"), 2.5),
        (raw("date", "date"), dt.datetime(1970, 1, 2, 23), 1.0),
        (raw("timestamp", "timestamp"), dt.date(1970, 1, 2), 86_400e6),
        (raw("array", "array<double>", width=2), [1, None], [1.0, NAN]),
    ],
)
def test_a_value_of_another_type_is_read_where_the_column_can_hold_it(column, value, read):
    assert json.dumps(value_reader(column)(value)) == json.dumps(read)


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        (raw("integer", "bigint"), 2**63, "out of the range of bigint"),
        (raw("integer", "int"), 10**400, "out of the range of bigint"),
        (raw("integer", "int"), 2.0**31, "out of the range of int"),
        (raw("number", "double"), 10**400, "out of the range"),
        (raw("number", "double"), [1], "a list where the model takes a number"),
        (raw("string", "string"), {"a": 1}, "an object where the model takes text"),
        (raw("string", "string"), "\ud800", "half of a surrogate pair"),
        (raw("date", "date"), 18_000, "write it as text"),
        (raw("array", "array<double>", width=2), [1.0], "does not hold 2 values"),
        (raw("array", "array<double>", width=2), "12", "text where the model takes a list"),
        (raw("array", "array<double>", width=2), None, "does not hold 2 values"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused(column, value, why):
    with pytest.raises(UnreadValueError, match=why):
        value_reader(column)(value)


def test_the_message_names_rows_and_columns_and_absent_columns_are_told(exported):
    scorer = RowScorer(exported["accepted"])
    with pytest.raises(DataError) as told:
        scorer.read({"age": [1, "old", None], "member": ["perhaps", True, None], "height": ["tall"] * 3}, 3)
    assert str(told.value) == (
        "row 0: 'height' is not a number; row 0: 'member' is not true or false; row 1: 'age' is not a number; "
        "row 1: 'height' is not a number; row 2: 'height' is not a number."
    )
    read = scorer.read({"age": [30], "city": ["Oslo"], "unknown": [1]}, 1)
    assert set(read.absent) == set(scorer.columns) - {"age", "city"}
    missing = dict.fromkeys(scorer.columns) | {"age": 30, "city": "Oslo"}
    assert scorer.score(read)["probability"] == [
        Scorer(exported["accepted"]).score_row(missing)["probability"]
    ]


def test_a_graph_of_another_maker_is_left_to_the_scorer():
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [entry], [out])
    from synml_dagster.onnx import OnnxModel

    with pytest.raises(ModelError, match="no pipeline of this package"):
        RowScorer(
            OnnxModel(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
        )
