"""What tasks read of files by themselves is what Spark reads: every value, hash, label and position, and so the plan."""

from __future__ import annotations

import datetime as dt
import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.columns.arrow_values import java_double
from synml_dagster.columns.raw import raw_inputs
from synml_dagster.errors import DataError
from synml_dagster.features import FeatureSpec, SplitSpec, fit_plan
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.profile.file_rows import FileRows, can_be_read
from synml_dagster.features.profile.request import Asked, RowFacts, values_of
from synml_dagster.features.profile.spark_rows import SparkRows
from synml_dagster.files import ParquetFiles

TEXTS = ["a", "", " b ", "\ta", "é", "🙂", "x" * 31, "y" * 32, "z" * 33, "w" * 100, "yes", "no"]
WRITTEN = [
    *(
        "1",
        "-2.5",
        " 3 ",
        "\t4\n",
        "+5",
        "1e3",
        "1E-3",
        ".5",
        "7.",
        "1d",
        "1f",
        "1L",
        "0x10",
        "0x1p3",
        "-0x.8p1",
    ),
    *(
        "NaN",
        "nan",
        "-inf",
        "Infinity",
        "+infinity",
        "infinit",
        "1e400",
        "-1e400",
        "1e-400",
        "1_000",
        "1,5",
        "१",
    ),
    *(
        "",
        " ",
        "--1",
        "e5",
        "1e",
        "+",
        ".",
        "12345678901234567890",
        "0.1000000000000000055511151231257827",
        "fat",
    ),
]
FLOATS = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.5, -2.25, 1e15, 123456789.0]
ROWS = 600


def _holed(values: list, kind: pa.DataType, rng: np.random.Generator) -> pa.Array:
    return pa.array([None if rng.random() < 0.1 else v for v in values], kind)


def _everything(seed: int) -> pa.Table:
    """A column of every type that is read from files, extremes and gaps in each."""
    rng = np.random.default_rng(seed)

    def some(values: list) -> list:
        return [values[i] for i in rng.integers(0, len(values), ROWS)]

    def whole(bits: int) -> list:
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        return some([low, high, 0, 1, -1, *(int(v) for v in rng.integers(low, high, 30))])

    moments = [
        dt.datetime(1, 1, 1),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        dt.datetime(1969, 12, 31, 23),
    ]
    moments += [dt.datetime(2026, 1, 1) + dt.timedelta(seconds=int(s)) for s in rng.integers(0, 10**8, 20)]
    return pa.table(
        {
            "flag": _holed(some([True, False]), pa.bool_(), rng),
            "tiny": _holed(whole(8), pa.int8(), rng),
            "small": _holed(whole(16), pa.int16(), rng),
            "int": _holed(whole(32), pa.int32(), rng),
            "big": _holed(whole(64), pa.int64(), rng),
            "float": _holed([np.float32(v) for v in some(FLOATS)], pa.float32(), rng),
            "double": _holed(some(FLOATS), pa.float64(), rng),
            "whole": _holed([float(v) for v in some([0, 1, 2])], pa.float64(), rng),
            "text": _holed(some(TEXTS), pa.string(), rng),
            "written": _holed(some(WRITTEN), pa.string(), rng),
            "day": _holed([m.date() for m in some(moments)], pa.date32(), rng),
            "time": _holed(
                [m.replace(tzinfo=dt.UTC) for m in some(moments)], pa.timestamp("us", tz="UTC"), rng
            ),
            "clock": _holed(some(moments), pa.timestamp("us"), rng),
            "weight": pa.array(rng.random(ROWS)),
        }
    )


class _All:
    """A summary that keeps every row."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []

    def add(self, batch):
        self.batches.append(batch)

    def merge(self, piece):
        self.batches += pa.ipc.open_stream(piece).read_all().to_batches()

    def pieces(self):
        if self.batches:
            out = io.BytesIO()
            with pa.ipc.new_stream(out, self.batches[0].schema) as stream:
                for batch in self.batches:
                    stream.write_batch(batch)
            yield out.getvalue()

    def table(self) -> pa.Table:
        table = pa.Table.from_batches(self.batches).combine_chunks()
        return table.select(sorted(table.schema.names)).sort_by([("hash", "ascending"), ("c4", "ascending")])


def _files(tmp_path, table: pa.Table, name: str = "t") -> ParquetFiles:
    (tmp_path / name).mkdir()
    paths = []
    for i in range(2):
        paths.append(str(tmp_path / name / f"part-{i}.parquet"))
        half = table.num_rows // 2
        pq.write_table(table.slice(i * half, half if i == 0 else None), paths[-1], row_group_size=100)
    return ParquetFiles(tuple(paths))


@pytest.mark.parametrize(
    ("label", "by", "column"),
    [
        ("flag", "random", None),
        ("written", "stratified", None),
        ("text", "group", "text"),
        ("whole", "group", "double"),
        ("int", "time", "day"),
        ("tiny", "time", "time"),
        ("small", "time", "clock"),
    ],
)
def test_every_value_is_sparks(spark, tmp_path, label, by, column):
    files = _files(tmp_path, _everything(seed=len(label)))
    frame = files.dataframe(spark)
    inputs, refused = raw_inputs(frame.schema)
    assert not refused
    named = {raw.name: raw for raw in inputs}
    facts = RowFacts(
        named[label], named["weight"], by, named[column] if column else None, inputs, 7, inputs[:5]
    )
    declared = {"int": "categorical", "big": "categorical", "flag": "categorical", "day": "categorical"}
    assert can_be_read(files, inputs, declared)
    values = values_of(inputs, declared)
    split = SplitPlan(
        spec=SplitSpec(by=by, column=column, seed=7),
        by=by,
        column=facts.split_column,
        hashed=[raw.path for raw in facts.placing],
        test=[1e15 if by == "time" else 0.2],
        validation=[1.0 if by == "time" else 0.5],
    )
    word = LabelPlan(
        column=label, path=(label,), storage=named[label].storage, spark_type=named[label].spark_type
    )
    for asked in (Asked(values), Asked(values, trained=(split, word))):
        ours = FileRows(spark, files, facts).summary(asked, _All).table()
        sparks = SparkRows(frame, facts).summary(asked, _All).table()
        assert ours.schema.names == sparks.schema.names
        assert 0 < ours.num_rows <= ROWS
        for name in ours.schema.names:
            mine, theirs = ours.column(name), sparks.column(name)
            if pa.types.is_string(mine.type):
                assert mine.to_pylist() == theirs.to_pylist(), name
            else:
                np.testing.assert_array_equal(mine.to_numpy(), theirs.to_numpy(), err_msg=name)


def test_text_is_a_number_where_spark_says_so(classic_spark):
    from pyspark.sql import functions as sf

    frame = classic_spark.createDataFrame([(t,) for t in WRITTEN], "t string")
    sparks = [row[0] for row in frame.select(sf.expr("try_cast(t as double)")).collect()]
    for text, theirs in zip(WRITTEN, sparks, strict=True):
        ours = java_double(text)
        assert (math.isnan(ours) and (theirs is None or math.isnan(theirs))) or ours == theirs, text


def _labelled(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(rows) < 0.05),
            "word": pa.array(rng.choice(["a", "b", "c"], rows).astype(object), mask=rng.random(rows) < 0.1),
            "note": [
                f"{a} {b}"
                for a, b in zip(rng.choice(["good", "bad"], rows), rng.integers(0, 9, rows), strict=True)
            ],
            "day": pa.array(rng.integers(0, 20_000, rows).astype(np.int32), pa.int32()).cast(pa.date32()),
            "owner": rng.integers(0, 300, rows),
            "grade": pa.array(np.where(x > 0, "high", "low").astype(object), mask=rng.random(rows) < 0.02),
            "price": np.round(x, 1),
            "stars": rng.integers(1, 4, rows) / 2,
        }
    )


@pytest.mark.parametrize(
    ("rows", "label", "split", "said"),
    [
        (2_000, "grade", SplitSpec(), {}),
        (2_000, "grade", SplitSpec(by="stratified"), {}),
        (2_000, "grade", SplitSpec(by="group", column="owner"), {}),
        (2_000, "grade", SplitSpec(by="time", column="day"), {}),
        (2_000, "grade", SplitSpec(), {"word": {"encoding": "target"}, "owner": {"kind": "categorical"}}),
        (2_000, "price", SplitSpec(), {}),
        (2_000, "stars", SplitSpec(), {}),
        (45_000, "grade", SplitSpec(seed=3), {}),
    ],
)
def test_the_plan_of_files_is_that_of_rows(classic_spark, tmp_path, monkeypatch, rows, label, split, said):
    monkeypatch.setattr("synml_dagster.features.profile.file_rows._MOST_ROWS", 600)  # several shares a slot
    files = _files(tmp_path, _labelled(rows, rows))
    features = FeatureSpec.model_validate({"overrides": said})
    task = "multiclass" if label == "stars" else "auto"  # classes named 0.5, 1.0 and 1.5
    plans = [
        fit_plan(t, name="p", label=label, task=task, features=features, split=split, spark=classic_spark)
        for t in (files, files.dataframe(classic_spark))
    ]
    assert plans[0].to_json() == plans[1].to_json()
    if label == "stars":
        assert plans[0].label.classes == ["0.5", "1", "1.5"]


def test_a_table_with_other_types_is_read_by_spark(classic_spark, tmp_path):
    table = _labelled(300, 1)
    structs = pa.array([{"a": i} for i in range(300)])
    files = _files(tmp_path, table.append_column("s", structs))
    inputs, _ = raw_inputs(files.dataframe(classic_spark).schema)
    assert not can_be_read(files, inputs, {})
    assert can_be_read(files, [raw for raw in inputs if raw.name != "s.a"], {})
    assert "s.a" in [c.name for c in fit_plan(files, name="p", label="grade", spark=classic_spark).columns]


def test_a_file_whose_values_do_not_fit_the_table_is_named_with_the_column(classic_spark, tmp_path):
    narrow = _files(
        tmp_path, pa.table({"x": pa.array(range(40), pa.int32()), "y": ["a", "b"] * 20}), "narrow"
    )
    wide = _files(
        tmp_path, pa.table({"x": pa.array([2**40 + i for i in range(40)]), "y": ["a", "b"] * 20}), "wide"
    )
    schema = {
        "type": "struct",
        "fields": [
            {"name": n, "type": t, "nullable": True, "metadata": {}}
            for n, t in (("x", "integer"), ("y", "string"))
        ],
    }
    files = ParquetFiles((*narrow.paths, *wide.paths), schema_json=json.dumps(schema))
    with pytest.raises(DataError, match=r"column 'x' is int in the table and int64"):
        fit_plan(files, name="p", label="y", spark=classic_spark)


def test_no_files_are_an_empty_table(classic_spark):
    schema = {"type": "struct", "fields": [{"name": "y", "type": "string", "nullable": True, "metadata": {}}]}
    with pytest.raises(DataError, match="the table is empty"):
        fit_plan(ParquetFiles((), schema_json=json.dumps(schema)), name="p", label="y", spark=classic_spark)
