"""Files as other programs write them: records whole, columns by name, types that lose nothing."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import uuid

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synml_dagster.errors import SourceError
from synml_dagster.sources import Source, read_source


def rows_of(spark, path, **more):
    notes: list[str] = []
    frame = read_source(spark, Source(path=str(path), **more), notes=notes)
    return frame, [tuple(row) for row in frame.collect()], notes


def test_a_line_break_in_quotes_is_part_of_the_value(spark, tmp_path):
    (tmp_path / "a.csv").write_text('age,words\n1,"two\nlines, and a ""word"""\n2,one\n')
    assert rows_of(spark, tmp_path / "a.csv")[1] == [(1, 'two\nlines, and a "word"'), (2, "one")]


def test_quotes_behind_a_backslash_are_read(classic_spark, tmp_path):
    (tmp_path / "a.csv").write_text('age,words\n1,"say \\"hi\\", twice"\n')
    assert rows_of(classic_spark, tmp_path / "a.csv")[1] == [(1, 'say "hi", twice')]


def test_records_of_another_width_are_left_out_and_said(spark, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4,5\n6\n7,8\n")
    frame, rows, notes = rows_of(spark, tmp_path / "a.csv")
    assert rows == [(1, 2), (7, 8)]
    assert (frame.count(), frame.isEmpty()) == (2, False)
    assert "2 of 4 records have more or fewer fields than the header" in notes[0]


def test_files_of_a_folder_are_joined_by_name(classic_spark, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a,c\ny,2,9\n")
    frame, rows, notes = rows_of(classic_spark, tmp_path)
    assert frame.columns == ["a", "b", "c"]
    assert sorted(rows) == [(1, "x", None), (2, "y", 9)]
    assert "'2.csv' has ['c'] beside" in notes[0]


def test_a_file_with_quite_another_header_is_refused(classic_spark, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("c,d\ny,2\n")
    with pytest.raises(SourceError, match=r"'2\.csv' has no column of the first file's header"):
        rows_of(classic_spark, tmp_path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["00", "01", "10"], "string"),
        (["1", "2", "NA"], "bigint"),
        (["1.10", "2.5", "?"], "double"),
        (["TRUE", "false", ""], "boolean"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-01-31 10:00:00", "2024-02-01 00:00:01.5"], "timestamp"),
        (["inf", "1.5", "-Infinity"], "double"),
        (["1e400", "1"], "string"),
        (["1,5", "2,5"], "string"),
        (["12345678901234567890", "12345678901234567891"], "string"),
    ],
)
def test_a_column_is_typed_where_nothing_is_lost(classic_spark, tmp_path, values, kind):
    pd.DataFrame({"x": values, "other": "w"}).to_csv(tmp_path / "a.csv", index=False)
    frame, _, _ = rows_of(classic_spark, tmp_path / "a.csv")
    assert frame.schema["x"].dataType.simpleString() == kind


def test_comments_before_the_header_are_passed_over_and_said(classic_spark, tmp_path):
    (tmp_path / "a.csv").write_text("# made by R\na,b\n1,x\n")
    (tmp_path / "b.csv").write_text("#a,b\n1,x\n")
    frame, rows, notes = rows_of(classic_spark, tmp_path / "a.csv")
    assert (frame.columns, rows) == (["a", "b"], [(1, "x")])
    assert "are comments" in notes[0]
    assert rows_of(classic_spark, tmp_path / "b.csv")[0].columns == ["#a", "b"]


def test_what_spark_would_pass_over_without_a_word_is_refused(classic_spark, tmp_path):
    (tmp_path / "a.json").write_text('{\n "a": 1\n}\n{\n "a": 2\n}\n')
    with pytest.raises(SourceError, match="one indented object after the other"):
        rows_of(classic_spark, tmp_path / "a.json")
    (tmp_path / "b.csv").write_text("sep=;\na;b\n1;2\n")
    with pytest.raises(SourceError, match="Excel's line 'sep=;'"):
        rows_of(classic_spark, tmp_path / "b.csv")


def test_rows_for_a_plan_are_read_as_they_are_written(classic_spark, tmp_path):
    (tmp_path / "a.csv").write_text("code,flag\n00,TRUE\n1.10,FALSE\n")
    frame = read_source(
        classic_spark, Source(path=str(tmp_path / "a.csv")), known={"code": "string", "flag": "string"}
    )
    assert [tuple(r) for r in frame.collect()] == [("00", "TRUE"), ("1.10", "FALSE")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_encodings_and_separators_are_told_by_looking(classic_spark, tmp_path, encoding, mark):
    (tmp_path / "a.csv").write_bytes(f"größe{mark}b\n1{mark}é\n2{mark}5 €\n".encode(encoding))
    frame, rows, _ = rows_of(classic_spark, tmp_path / "a.csv")
    assert frame.columns == ["größe", "b"]
    assert rows == [(1, "é"), (2, "5 €")]


@pytest.mark.parametrize(
    ("text", "rows", "said"),
    [
        ('"a"\t"b"\n"r1"\t1\t"x"\n"r2"\t2\t"y"\n', [("r1", 1, "x"), ("r2", 2, "y")], "as R writes names"),
        ("a,b\n1,x,\n2,y,\n", [(1, "x", None), (2, "y", None)], "end with a separator"),
        ('a,b\n1,"c:\\dir\\"\n2,y\n', [(1, "c:\\dir\\"), (2, "y")], None),
        ("a,b\n1,'x, y'\n2,'z'\n", [(1, "x, y"), (2, "z")], "single quotes"),
        ("a,b\n1,O'Neil\n2,'tis\n", [(1, "O'Neil"), (2, "'tis")], None),
        ('a,b,c\n1,"x,1\n2,y,2\n3,z",3\n', [(1, "x,1\n2,y,2\n3,z", 3)], "1 lines that look like records"),
        ("1,2\n3,4\n", [(3, 4)], "holds numbers and is taken for the names"),
        ("a,b\n1,x\n\n2,y\n(2 rows)\n", [(1, "x"), (2, "y")], "1 of 3 records"),
    ],
)
def test_records_are_cut_as_their_writer_meant_or_it_is_said(classic_spark, tmp_path, text, rows, said):
    (tmp_path / "a.csv").write_text(text)
    _, found, notes = rows_of(classic_spark, tmp_path / "a.csv")
    assert sorted(found) == rows
    assert bool(said) == bool(notes)
    assert (said or "") in " ".join(notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"a,b\n1,x\n", mtime=0), "packed with gzip; let its name end with .gz"),
        (b"PK\x03\x04 and more", "a zip archive or an Excel workbook"),
        (b"PAR1 and more", "say source.format: parquet"),
        (b"Report of 2024\n\na,b\n1,x\n", "all 2 records have more or fewer fields than the first line"),
    ],
)
def test_what_is_no_table_of_text_is_refused(classic_spark, tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        rows_of(classic_spark, tmp_path / "a.csv")


def test_folders_that_hold_a_column_keep_it_as_it_is_written(spark, tmp_path):
    for folder, text in (("code=007", "a,b\n1,x\n"), ("code=010", "b,a\ny,2\n")):
        (tmp_path / "rows" / folder).mkdir(parents=True)
        (tmp_path / "rows" / folder / "a.csv").write_text(text)
    frame, rows, _ = rows_of(spark, tmp_path / "rows", format="csv")
    assert frame.columns == ["a", "b", "code"]
    assert sorted(rows) == [(1, "x", "007"), (2, "y", "010")]


@pytest.mark.parametrize("name", ["data[1].csv", "_train.csv", ".hidden.csv", "a b{c}.csv"])
def test_a_file_is_what_its_name_says(spark, tmp_path, name):
    (tmp_path / name).write_text("a,b\n1,x\n2,y\n")
    assert rows_of(spark, tmp_path / name)[1] == [(1, "x"), (2, "y")]


def test_indented_json_is_read(spark, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], indent=2))
    assert sorted(rows_of(spark, tmp_path / "a.json")[1]) == [(1, "x"), (2, "y")]


def test_records_that_are_no_json_are_left_out_and_said(spark, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a":1,"b":{"c":"x"}}\n{"a":2\n{"a":3,"b":{"c":"y"}}\n{"a":4,"b')
    frame, rows, notes = rows_of(spark, tmp_path / "a.jsonl")
    assert frame.columns == ["a", "b"]
    assert [row[0] for row in rows] == [1, 3]
    assert (frame.count(), frame.isEmpty()) == (2, False)
    assert "2 of 4 records are no JSON and are left out" in notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a":1}\n{"a":2}\n'.encode("utf-16"), "is written in UTF-16"),
        (b"hello\nworld\n", "no record of"),
        (b'[{"a":1},{"a":', "no record of"),
    ],
)
def test_json_that_spark_would_lose_is_refused(classic_spark, tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        rows_of(classic_spark, tmp_path / "a.json")


@pytest.mark.parametrize("array", [False, True])
def test_keys_that_differ_in_case_alone_are_refused_by_name(classic_spark, tmp_path, array):
    records = [{"age": 1, "at": {"City": "Rome"}}, {"age": 2, "at": {"city": "Bern"}}]
    text = json.dumps(records, indent=1) if array else "\n".join(map(json.dumps, records))
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=r"both keys 'at\.City' and 'at\.city'"):
        rows_of(classic_spark, tmp_path / "a.json")


def test_two_columns_of_one_name_in_a_parquet_file_are_refused_by_name(classic_spark, tmp_path):
    for names in (["x", "x"], ["x", "X"]):
        pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=names), tmp_path / "a.parquet")
        with pytest.raises(SourceError, match=f"two columns 'x' and '{names[1]}'"):
            rows_of(classic_spark, tmp_path / "a.parquet")


def test_json_files_of_two_ways_are_refused(classic_spark, tmp_path):
    (tmp_path / "1.json").write_text('{"a":1}\n{"a":2}\n')
    (tmp_path / "2.json").write_text(json.dumps([{"a": 3}], indent=1))
    with pytest.raises(SourceError, match="Write all files in one way"):
        rows_of(classic_spark, tmp_path)


def test_types_of_parquet_that_spark_has_no_word_for(spark, tmp_path):
    key = uuid.UUID(int=7)
    table = pa.table(
        {
            "ns": pa.array([pd.Timestamp("2024-01-01 01:02:03.000004005")], pa.timestamp("ns")),
            "none": pa.nulls(1),
            "half": pa.array([1.5], pa.float32()).cast(pa.float16()),
            "at": pa.array([datetime.time(1, 2, 3)], pa.time64("us")),
        }
    ).append_column("key", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([key.bytes], pa.binary(16))))
    pq.write_table(table, tmp_path / "a.parquet")
    _, rows, _ = rows_of(spark, tmp_path / "a.parquet")
    assert rows == [
        (datetime.datetime(2024, 1, 1, 1, 2, 3, 4), None, 1.5, "01:02:03.000000", str(key)),
    ]


def test_parquet_files_of_other_types_and_columns_are_one_table(spark, tmp_path):
    pq.write_table(pa.table({"age": pa.array([1, 2]), "y": ["a", "b"]}), tmp_path / "1.parquet")
    pq.write_table(
        pa.table({"y": ["c"], "age": pa.array([None], pa.float64()), "bonus": [7]}), tmp_path / "2.parquet"
    )
    frame, rows, notes = rows_of(spark, tmp_path)
    assert frame.schema.simpleString() == "struct<age:double,y:string,bonus:bigint>"
    assert sorted(rows, key=str) == sorted([(1.0, "a", None), (2.0, "b", None), (None, "c", 7)], key=str)
    assert any("'bonus' is not in 1 of 2 files" in n for n in notes)


def test_parquet_of_folders_that_hold_a_column(spark, tmp_path):
    for code, table in (
        ("007", pa.table({"a": [1], "t": pa.array([1000], pa.timestamp("ns"))})),
        ("010", pa.table({"a": [2.5], "t": pa.array([1000], pa.timestamp("ns")), "b": ["new"]})),
    ):
        (tmp_path / f"code={code}" / "year=2024").mkdir(parents=True)
        pq.write_table(table, tmp_path / f"code={code}" / "year=2024" / "part-0.parquet")
    frame, rows, _ = rows_of(spark, tmp_path)
    assert frame.columns == ["a", "t", "b", "code", "year"]
    assert sorted((r[0], r[2], r[3], r[4]) for r in rows) == [
        (1.0, None, "007", 2024),
        (2.5, "new", "010", 2024),
    ]


def test_codes_in_names_of_folders_of_plain_parquet_stay_text(spark, tmp_path):
    for code, value in (("007", 1), ("010", 2)):
        (tmp_path / f"code={code}").mkdir()
        pq.write_table(pa.table({"a": [value]}), tmp_path / f"code={code}" / "part-0.parquet")
    assert sorted(rows_of(spark, tmp_path)[1]) == [(1, "007"), (2, "010")]


def test_strange_types_inside_lists_and_structs(spark, tmp_path):
    table = pa.table(
        {
            "l": pa.array([[1_000]], pa.list_(pa.timestamp("ns"))),
            "f": pa.array([[1.5]], pa.list_(pa.float16())),
            "s": pa.array([{"u": 7}], pa.struct([("u", pa.uint8())])),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    _, rows, _ = rows_of(spark, tmp_path / "a.parquet")
    assert [(r[0][0].microsecond, r[1], r[2][0]) for r in rows] == [(1, [1.5], 7)]


@pytest.mark.parametrize("cut", [0, -20])
def test_a_torn_parquet_file_is_named(classic_spark, tmp_path, cut):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:cut])
    with pytest.raises(SourceError, match=r"a\.parquet' cannot be read as Parquet"):
        rows_of(classic_spark, tmp_path / "a.parquet")


def test_types_without_a_common_one_are_refused_by_name(classic_spark, tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [[1]]}), tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="column 'a' is int64 in one file and list"):
        rows_of(classic_spark, tmp_path)


_CELL = st.text(alphabet="ab \"',;|\t\nä0-", max_size=6).map(str.strip)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6),
    mark=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_was_meant_is_read_back(classic_spark, tmp_path, rows, mark, encoding):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("first", "second"), *rows])
    (tmp_path / "a.csv").write_bytes(text.getvalue().encode(encoding))
    frame = read_source(
        classic_spark,
        Source(path=str(tmp_path / "a.csv"), options={"sep": mark}),
        known={"first": "string", "second": "string"},
    )
    # A record without any value is no row.
    assert [tuple(v or "" for v in row) for row in frame.collect()] == [row for row in rows if any(row)]


def test_headers_again_and_records_without_a_value_are_left_out_and_said(spark, tmp_path):
    # `cat *.csv`, and the empty lines of a sheet that was longer once.
    (tmp_path / "a.csv").write_text("age,y\n1,no\n2,yes\n age ,y\n3,no\n,\n4,y\n,\n")
    frame, rows, notes = rows_of(spark, tmp_path / "a.csv")
    assert rows == [(1, "no"), (2, "yes"), (3, "no"), (4, "y")]
    assert (frame.count(), dict(frame.dtypes)["age"]) == (4, "bigint")
    assert [note.split(" records ")[0] for note in notes] == ["1 of 7", "2 of 7"]
    assert "are the header again" in notes[0]


def test_a_single_column_keeps_the_word_that_is_its_name(classic_spark, tmp_path):
    (tmp_path / "a.csv").write_text("colour\nred\ncolour\n")
    assert rows_of(classic_spark, tmp_path / "a.csv")[1:] == ([("red",), ("colour",)], [])


@pytest.mark.parametrize("word", ["Total", "GRAND TOTAL", "Summe:", "subtotal"])
def test_a_record_that_adds_up_the_others_is_said_and_a_frequent_word_is_none(classic_spark, tmp_path, word):
    (tmp_path / "a.csv").write_text("city,sold\n" + "Rome,3\nBern,4\n" * 100 + f"{word},700\n")
    _, rows, notes = rows_of(classic_spark, tmp_path / "a.csv")
    assert (len(rows), rows[-1]) == (201, (word, 700))
    assert f"1 of 201 records look like totals of others, such as '{word} | 700'" in notes[0]
    (tmp_path / "a.csv").write_text("brand,sold\n" + f"Shell,3\n{word},4\n" * 100)
    assert rows_of(classic_spark, tmp_path / "a.csv")[2] == []


def test_headers_of_a_folder_that_differ_in_case_are_the_same_columns(classic_spark, tmp_path):
    (tmp_path / "1.csv").write_text("age,y\n1,x\n")
    (tmp_path / "2.csv").write_text("Y,Age,more\nz,2,7\n")
    frame, rows, notes = rows_of(classic_spark, tmp_path)
    assert (frame.columns, sorted(rows)) == (["age", "y", "more"], [(1, "x", None), (2, "z", 7)])
    assert notes == [
        "'2.csv' writes ['Y', 'Age'] in other letters, upper or lower, than the first file; they are the same columns",
        "'2.csv' has ['more'] beside; what a file lacks is missing in its rows",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"data": [{"a": 1, "y": "x"}, {"a": 2, "y": "z"}]}',
        '{"a": [1, 2], "y": ["x", "z"]}',
        '{"a": {"0": 1, "1": 2}, "y": {"0": "x", "1": "z"}}',
    ],
    ids=["list", "lists by column", "pandas"],
)
def test_one_object_around_all_rows_is_refused(classic_spark, tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(SourceError, match=r"is one object, whose key.*one a line or in an array"):
        read_source(classic_spark, Source(path=str(tmp_path / "t.json")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"order": 7, "items": [{"price": 2.5}]}', True),
        ('{\n "meta": {"n": 2},\n "items": [{"a": 1, "y": "x"}, {"a": 2, "y": "z"}]\n}', True),
        ('{"customer": {"age": 7}, "order": {"price": 2.5}}', False),
        ('{"embedding": [0.5, 1.5]}', False),
        ('{"a": [1], "b": [2]}', False),
    ],
)
def test_one_row_of_nested_values_is_read_and_a_list_of_objects_said(classic_spark, tmp_path, text, said):
    (tmp_path / "t.json").write_text(text)
    notes: list[str] = []
    read = read_source(classic_spark, Source(path=str(tmp_path / "t.json")), notes=notes)
    assert read.count() == 1
    assert bool(notes) is said
    assert not said or "whose key 'items' holds a list of objects, and is read as one row" in notes[0]


def test_nanoseconds_of_the_hour_that_a_clock_shows_twice_are_read(classic_spark, tmp_path):
    moments = pd.date_range("2024-10-27 00:00", periods=8, freq="30min", tz="UTC") + pd.Timedelta(1234, "ns")
    pd.DataFrame({"t": moments.tz_convert("Europe/Berlin")}).to_parquet(tmp_path / "t.parquet")
    read = read_source(classic_spark, Source(path=str(tmp_path / "t.parquet")))
    found = read.selectExpr("unix_micros(t) m").toPandas()["m"].tolist()
    assert sorted(found) == [int(t.value) // 1000 for t in moments]
