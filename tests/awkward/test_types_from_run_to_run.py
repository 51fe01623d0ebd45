"""What a column is does not follow the file of the day."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.sources import Source, read_source
from synml_dagster.tables import open_table


def test_types_that_are_known_are_kept_or_widened_with_a_word(classic_spark, tmp_path):
    (tmp_path / "a.csv").write_text("code,price,day,empty,age\n1,2,2024-01-01,,x\n2,3,2024-01-02,,1\n")
    notes: list[str] = []
    known = {"code": "string", "price": "double", "day": "timestamp", "empty": "bigint", "age": "bigint"}
    frame = read_source(classic_spark, Source(path=str(tmp_path / "a.csv")), known=known, notes=notes)
    assert dict(frame.dtypes) == {
        "code": "string",
        "price": "double",
        "day": "timestamp",
        "empty": "bigint",
        "age": "string",
    }
    assert notes == ["column 'age' was bigint in an earlier run and holds other values now; it is text"]


def test_raw_goes_on_from_the_types_of_its_last_snapshot(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")  # the session that the other tests share
    path = tmp_path / "table.csv"
    job = MLPipeline(name="p", source=str(path), label="y").definitions().resolve_job_def("p_train")
    types = []
    with dg.DagsterInstance.ephemeral() as instance:
        for codes in ("1.10,A1,2", "1.10,3,2"):
            path.write_text("code,y\n" + "".join(f"{c},{i}\n" for i, c in enumerate(codes.split(","))))
            result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(["p", "raw"])])
            assert result.success
            table = open_table(str(tmp_path / "own" / "p" / "raw"))
            types.append(table.schema_json.count('"string"'))
    assert types == [1, 1]


@pytest.mark.parametrize("values", [["00", "01"], ["1.10", "1.1"]])
def test_a_code_that_a_number_would_lose_is_read_as_it_is_written(classic_spark, tmp_path, values):
    (tmp_path / "a.csv").write_text("code\n" + "\n".join(values) + "\n")
    frame = read_source(classic_spark, Source(path=str(tmp_path / "a.csv")), known={"code": "string"})
    assert [row[0] for row in frame.collect()] == values


def test_text_that_is_written_otherwise_than_learnt_is_said_or_refused(classic_spark):
    from synml_dagster.columns import RawInput
    from synml_dagster.columns.unread import unread
    from synml_dagster.errors import DataError

    def text(name, **more):
        return RawInput(
            name=name, path=(name,), spark_type="string", storage="string", onnx_type="string", **more
        )

    planned = [
        text("day", time_way="d.M.yyyy"),
        text("price", number_marks=(",", ".", "", False)),
        text("word"),
    ]
    rows = [
        ("3.6.2022", "1.234,5", "a"),
        ("NA", "1234.5", "b"),
        ("4.6.2022", "", "c"),
        ("soon", "-", "d"),
        (None, None, None),
    ]
    frame = classic_spark.createDataFrame(rows, "day string, price string, word string")
    said = unread(frame, planned)
    assert said == [
        "1 of 3 values of column 'day', such as 'soon', are not written as learnt (d.M.yyyy) and are taken as missing"
    ]
    other = frame.selectExpr("'2022-06-03' AS day", "'1,234.50' AS price", "word")
    with pytest.raises(
        DataError, match="5 of 5 values of column 'day', such as '2022-06-03', are not written as learnt"
    ):
        unread(other, planned)
    with pytest.raises(DataError, match="column 'price'"):
        unread(other, planned[1:])
    assert unread(frame.select("word"), [planned[2]]) == []
    codes = classic_spark.sql("SELECT * FROM VALUES ('007'), ('010'), ('7'), ('x') AS t(code)")
    assert (
        "1 of 4 values of column 'code', such as '7', are not written as learnt (3 digits)"
        in unread(codes, [text("code", padded=3)])[0]
    )


def test_plain_numbers_in_text_that_come_with_a_comma_are_refused_and_a_stray_word_is_said(classic_spark):
    from synml_dagster.columns import RawInput
    from synml_dagster.columns.unread import unread
    from synml_dagster.errors import DataError

    planned = [RawInput(name="x", path=("x",), spark_type="string", storage="string", onnx_type="string")]
    good = classic_spark.sql("SELECT * FROM VALUES ('1.5'), ('2'), ('NA'), ('abc'), ('3e2'), (null) AS t(x)")
    assert unread(good, planned, {"x"}) == [
        "1 of 4 values of column 'x', such as 'abc', are not written as learnt (numbers as programs write them) and are taken as missing"
    ]
    assert unread(good, planned) == []
    comma = classic_spark.sql("SELECT * FROM VALUES ('1,5'), ('2,5'), ('3,5'), ('4,5'), ('6') AS t(x)")
    with pytest.raises(
        DataError, match="4 of 5 values of column 'x', such as '1,5', are not written as learnt"
    ):
        unread(comma, planned, {"x"})
    assert "1 of 1 values" in unread(comma.limit(1), planned, {"x"})[0]


def test_rows_to_score_that_are_nothing_like_the_training_rows_are_said(classic_spark):
    import pyarrow as pa

    from synml_dagster.checks.unlike_training import unlike_training
    from synml_dagster.features import FeatureSpec, fit_plan

    n = 240
    table = {
        "income": [1000.0 + 7 * i for i in range(n)],
        "city": ["Berlin", "Rome", "Oslo"] * (n // 3),
        "code": [float(i % 4) if i % 9 else None for i in range(n)],
        "rare": [f"w{i % 7}" if i % 3 == 0 else None for i in range(n)],
        "y": ["a", "b", "b", "a"] * (n // 4),
    }
    rows = classic_spark.createDataFrame(pa.table(table))
    plan = fit_plan(rows, name="p", label="y", features=FeatureSpec(categorical=["code"]))
    today = rows.drop("y").limit(60)
    assert unlike_training(today, plan) == []

    def said(**columns):
        return unlike_training(
            today.selectExpr(*(columns.get(c, c) + f" AS {c}" for c in today.columns)), plan
        )

    assert said(city="lower(city)") == [
        "column 'city' holds words that no training row has in 60 of the 60 rows looked at, such as 'berlin', where the training rows have 'Berlin'; they count as other"
    ]
    assert "such as '9.0', where the training rows have '" in said(code="9.0")[0]
    (other_unit,) = said(income="income / 1000")
    assert "column 'income' is outside of what the training rows hold" in other_unit
    assert "in 60 of the 60 rows looked at, such as 1;" in other_unit
    assert said(income="cast(null AS double)") == [
        "column 'income' has no value in all of the 60 rows looked at, and had one in 100% of the training rows"
    ]
    assert said(rare="cast(null AS string)") == []  # most training rows have none
    assert said(income="'many'") == []  # such rows are rejected with that reason
    assert unlike_training(today.selectExpr("income", "'x' AS city", "code", "rare").limit(3), plan) == []
