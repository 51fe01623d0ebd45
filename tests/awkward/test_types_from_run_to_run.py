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
