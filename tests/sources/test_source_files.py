"""A snapshot of a Parquet source is a copy of its files, where these are all there is to it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.errors import SourceError
from synml_dagster.files import ParquetFiles
from synml_dagster.files.file_splits import plan_file_splits, read_file_split
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.files import source_files
from synml_dagster.tables import open_table, publish_files


def _table(rows: int = 50) -> pa.Table:
    return pa.table(
        {
            "x": pa.array(range(rows), pa.int32()),
            "when": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * rows, pa.timestamp("us", tz="UTC")),
            "words": pa.array([["a", None]] * rows),
            "name": [f"n{i}" for i in range(rows)],
        }
    )


def _found(spark, path, **more):
    source = Source(path=str(path), **more)
    return source_files(spark, source, read_source(spark, source))


def test_files_are_copied_byte_for_byte(spark, tmp_path):
    folder = tmp_path / "my table=%20"
    folder.mkdir()
    for i in range(3):
        pq.write_table(_table(50 + i), folder / f"part {i}.parquet")
    files = _found(spark, folder)
    assert files is not None
    assert files.count() == 153
    table = publish_files(spark, files, tmp_path / "raw")
    assert table.rows == 153
    assert [Path(copy).read_bytes() for copy in open_table(tmp_path / "raw").files().paths] == [
        (folder / f"part {i}.parquet").read_bytes() for i in range(3)
    ]
    theirs = read_source(spark, Source(path=str(folder)))
    assert table.dataframe(spark).schema == theirs.schema
    assert table.dataframe(spark).exceptAll(theirs).count() == 0
    single = _found(spark, folder / "part 1.parquet")
    assert single is not None
    assert single.count() == 51


def test_what_spark_reads_another_way_is_left_to_it(classic_spark, tmp_path):
    def written(name, table, file="part.parquet"):
        (tmp_path / name).mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / name / file)
        return tmp_path / name

    assert _found(classic_spark, written("plain", _table())) is not None
    assert _found(classic_spark, tmp_path / "plain", options={"mergeSchema": True}) is None
    assert _found(classic_spark, written("unsigned", pa.table({"x": pa.array([1], pa.uint32())}))) is None
    words = pa.table({"w": pa.array(["a", "b"]).dictionary_encode()})
    assert _found(classic_spark, written("dictionary", words)) is None
    written("mixed", _table())
    assert _found(classic_spark, written("mixed", _table().select(["x", "name"]), "q.parquet")) is None
    (tmp_path / "days").mkdir()
    written("days/day=1", _table())
    assert _found(classic_spark, tmp_path / "days") is None
    spaced = pa.table({" x": pa.array([1])})
    assert _found(classic_spark, written("spaced", spaced)) is None
    pd.DataFrame({"x": [1]}).to_csv(tmp_path / "t.csv", index=False)
    assert _found(classic_spark, tmp_path / "t.csv") is None


def test_a_file_that_goes_away_leaves_the_former_snapshot(classic_spark, tmp_path):
    pq.write_table(_table(), tmp_path / "a.parquet")
    files = _found(classic_spark, tmp_path / "a.parquet")
    publish_files(classic_spark, files, tmp_path / "raw")
    gone = ParquetFiles((*files.paths, str(tmp_path / "b.parquet")), schema_json=files.schema_json)
    with pytest.raises(SourceError, match=r"there is no file .*b\.parquet"):
        publish_files(classic_spark, gone, tmp_path / "raw")
    assert open_table(tmp_path / "raw").rows == 50
    assert len(list((tmp_path / "raw" / "versions").iterdir())) == 1


def test_values_in_folder_names_come_before_those_in_the_files(classic_spark, tmp_path):
    for day in (1, 2):
        (tmp_path / "days" / f"day={day}").mkdir(parents=True)
        rows = pa.table({"x": [1.0, 2.0], "day": pa.array([99, 99], pa.int32())})
        pq.write_table(rows, tmp_path / "days" / f"day={day}" / "part.parquet")
    assert sorted(row["day"] for row in classic_spark.read.parquet(str(tmp_path / "days")).collect()) == [
        1,
        1,
        2,
        2,
    ]
    assert _found(classic_spark, tmp_path / "days") is None


def test_dates_of_the_old_calendar_are_left_to_spark(classic_spark, tmp_path):
    classic_spark.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "LEGACY")
    try:
        classic_spark.sql("select 1 as x, date'1500-01-01' as day").write.parquet(str(tmp_path / "old"))
    finally:
        classic_spark.conf.unset("spark.sql.parquet.datetimeRebaseModeInWrite")
    assert _found(classic_spark, tmp_path / "old") is None
    files = ParquetFiles(tuple(map(str, (tmp_path / "old").glob("*.parquet"))))
    [share] = plan_file_splits(files, 1)
    assert [batch.to_pylist() for batch in read_file_split(share, ["x"])] == [[{"x": 1}]]
    with pytest.raises(SourceError, match="'day' in the old calendar"):
        list(read_file_split(share, ["day"]))


def test_a_type_that_arrow_has_no_word_for_is_left_to_spark(classic_spark, tmp_path):
    classic_spark.sql("select 1 as x, interval '1' year as span").write.parquet(str(tmp_path / "spans"))
    assert _found(classic_spark, tmp_path / "spans") is None


def test_the_schema_of_parquet_is_the_one_that_spark_reads(spark, tmp_path):
    columns = "id, CAST(id AS TINYINT) AS t, CAST(id AS FLOAT) AS f, 'x' AS word, true AS yes, DATE'2024-01-01' AS day"
    written = spark.sql(f"SELECT {columns} FROM range(3)")
    written.write.parquet(str(tmp_path / "spark"))
    written.withMetadata("word", {"comment": "said"}).write.parquet(str(tmp_path / "more"))
    written.selectExpr("id", "TIMESTAMP'2024-01-01 00:00:00' AS at").write.parquet(str(tmp_path / "times"))
    table = written.toArrow()
    required = pa.schema([field.with_nullable(False) for field in table.schema])
    (tmp_path / "arrow").mkdir()
    pq.write_table(table.cast(required), tmp_path / "arrow" / "part.parquet")
    pq.write_table(table, tmp_path / "one.parquet")
    for name in ("spark", "more", "times", "arrow", "one.parquet", "*.parquet"):
        path = str(tmp_path / name)
        found = read_source(spark, Source(path=path))
        assert found.schema == spark.read.parquet(path).schema, name
        assert found.count() == 3
