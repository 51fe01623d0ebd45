"""Shares hold every row of a table's files exactly once, in nearly equal parts."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.files import ParquetFiles, files_reachable
from synml_dagster.files.file_splits import FileSplit, file_split_frame, plan_file_splits, read_file_split
from synml_dagster.tables import publish_table


def write(folder: Path, groups_of_files: list[list[int]]) -> ParquetFiles:
    """Write one file for each list, with row groups of those sizes; `id` counts on through all of them."""
    counter = itertools.count()
    paths = []
    schema = pa.schema([("id", pa.int64()), ("a.b", pa.float32()), ("a", pa.string())])
    for i, groups in enumerate(groups_of_files):
        path = str(folder / f"part-{i:05d}.parquet")
        with pq.ParquetWriter(path, schema) as out:
            for rows in groups:
                ids = [next(counter) for _ in range(rows)]
                columns = {"id": ids, "a.b": [float(x) for x in ids], "a": [str(x) for x in ids]}
                out.write_table(pa.table(columns, schema=schema), row_group_size=max(rows, 1))
        paths.append(path)
    return ParquetFiles(tuple(paths))


def ids(share: FileSplit, **options) -> list[int]:
    return [x for batch in read_file_split(share, ["id"], **options) for x in batch.column("id").to_pylist()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(st.lists(st.integers(0, 40), max_size=5), max_size=5),
    n=st.integers(1, 12),
    batch_rows=st.integers(1, 50),
)
def test_every_row_is_in_exactly_one_share(tmp_path_factory, groups, n, batch_rows):
    files = write(tmp_path_factory.mktemp("shares"), groups)
    total = sum(sum(g) for g in groups)
    shares = [FileSplit.from_json(s.to_json()) for s in plan_file_splits(files, n)]
    read = [ids(s, batch_rows=batch_rows) for s in shares]
    assert len(shares) == n
    assert [x for part in read for x in part] == list(range(total))
    assert [len(part) for part in read] == [s.rows for s in shares]
    slack = 1 + 2 * 0.05 * total / n
    assert all(abs(s.rows - total / n) <= slack for s in shares)
    assert files.count() == total


def test_a_single_row_group_feeds_many_tasks(tmp_path):
    shares = plan_file_splits(write(tmp_path, [[1000]]), 4)
    assert [s.rows for s in shares] == [250] * 4


def test_a_cut_falls_between_row_groups_where_one_is_near(tmp_path):
    shares = plan_file_splits(write(tmp_path, [[510], [490], [505, 495]]), 2)
    assert [(p.offset, p.rows) for s in shares for p in s.pieces] == [(0, 510), (0, 490), (0, 1000)]


def test_fewer_rows_than_shares_leaves_some_empty(tmp_path):
    shares = plan_file_splits(write(tmp_path, [[2]]), 5)
    assert sorted(s.rows for s in shares) == [0, 0, 0, 1, 1]
    assert [s.rows for s in plan_file_splits(ParquetFiles(()), 3)] == [0, 0, 0]


def test_columns_come_by_their_whole_name_in_the_order_asked(tmp_path):
    (share,) = plan_file_splits(write(tmp_path, [[3, 2]]), 1)
    assert [b.schema.names for b in read_file_split(share, ["a", "id"])] == [["a", "id"]]
    assert next(read_file_split(share, ["a.b"])).schema.names == ["a.b"]
    assert next(read_file_split(share)).schema.names == ["id", "a.b", "a"]
    assert sum(b.num_rows for b in read_file_split(share, [])) == 5
    with pytest.raises(DataError, match=r"no column 'ID'\. Did you mean 'id'"):
        next(read_file_split(share, ["ID"]))


def test_a_file_that_changed_after_planning_is_an_error_not_a_short_share(tmp_path):
    files = write(tmp_path, [[100]])
    shares = plan_file_splits(files, 2)
    write(tmp_path, [[60]])
    assert len(ids(shares[0])) == 50
    with pytest.raises(SourceError, match="fewer rows than when the work was planned"):
        ids(shares[1])


def test_bad_files_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"there is no file '.*gone.parquet'"):
        plan_file_splits(ParquetFiles((str(tmp_path / "gone.parquet"),)), 1)
    (tmp_path / "bad.parquet").write_text("not parquet at all")
    with pytest.raises(SourceError, match=r"bad.parquet' cannot be read as Parquet"):
        ParquetFiles((str(tmp_path / "bad.parquet"),)).count()
    with pytest.raises(ConfigError, match="at least 1 but got 0"):
        plan_file_splits(ParquetFiles(()), 0)


def test_a_file_may_be_named_by_uri(tmp_path):
    files = write(tmp_path, [[5]])
    (share,) = plan_file_splits(ParquetFiles((Path(files.paths[0]).as_uri(),)), 1)
    assert ids(share) == [0, 1, 2, 3, 4]


def test_each_task_reads_its_own_share(spark, tmp_path):
    table = publish_table(spark.range(1000).repartition(3), tmp_path / "t")
    shares = plan_file_splits(table.files(), 7)
    frame = file_split_frame(spark, shares)

    def read(batches):
        import pyarrow as pa

        from synml_dagster.files.file_splits import FileSplit, read_file_split

        held = [FileSplit.from_json(text) for batch in batches for text in batch["share"].to_pylist()]
        (share,) = held  # exactly one in each partition
        for batch in read_file_split(share, ["id"]):
            yield pa.RecordBatch.from_pydict({"share": [share.rows] * batch.num_rows, "id": batch["id"]})

    rows = frame.mapInArrow(read, "share long, id long").collect()
    assert sorted(row["id"] for row in rows) == list(range(1000))
    assert frame.count() == 7
    assert [r["share"] for r in frame.orderBy("index").collect()] == [s.to_json() for s in shares]


def test_files_that_tasks_see_too_are_reachable(spark, tmp_path):
    assert files_reachable(spark, write(tmp_path, [[5], [5]]))
    assert not files_reachable(spark, ParquetFiles((str(tmp_path / "gone.parquet"),)))


def test_shares_can_begin_after_whole_blocks_of_rows(tmp_path):
    files = write(tmp_path, [[30, 31], [42]])
    assert [s.rows for s in plan_file_splits(files, 3, block=10)] == [30, 40, 33]
    assert [s.rows for s in plan_file_splits(files, 4, block=30)] == [26, 26, 25, 26]


def test_a_file_without_a_column_has_nulls_only_where_they_are_expected(tmp_path):
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "new.parquet")
    pq.write_table(pa.table({"a": [3]}), tmp_path / "old.parquet")
    files = ParquetFiles(tuple(str(tmp_path / name) for name in ("new.parquet", "old.parquet")))
    share = plan_file_splits(files, 1)[0]
    batches = list(read_file_split(share, ["b", "a"], absent={"b": pa.string()}))
    assert pa.Table.from_batches(batches).to_pylist() == [
        {"b": "x", "a": 1},
        {"b": "y", "a": 2},
        {"b": None, "a": 3},
    ]
    with pytest.raises(DataError, match=r"old.parquet' has no column 'b'"):
        list(read_file_split(share, ["b", "a"]))
    with pytest.raises(DataError, match=r"has no column 'A'.*'a'"):
        list(read_file_split(share, ["A"], absent={"A": pa.int64()}))


def test_long_texts_come_in_batches_that_fit_into_memory(tmp_path):
    texts = [f"{i}" * 10_000 for i in range(40)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    share = plan_file_splits(ParquetFiles((str(tmp_path / "t.parquet"),)), 1)[0]
    batches = list(read_file_split(share, batch_bytes=100_000))
    assert len(batches) > 4
    assert pa.Table.from_batches(batches).column("text").to_pylist() == texts


def test_texts_that_repeat_come_in_batches_that_fit_into_memory(tmp_path):
    size = {"batch_rows": 1000, "batch_bytes": 2_000_000, "repeated_rows": 100}
    texts = ["short", None, "long" * 2_000, "longer" * 2_000] * 500
    pq.write_table(pa.table({"text": texts, "n": range(2000)}), tmp_path / "t.parquet")
    share = plan_file_splits(ParquetFiles((str(tmp_path / "t.parquet"),)), 1)[0]
    batches = list(read_file_split(share, **size))
    assert max(batch.nbytes for batch in batches) <= 2_000_000
    assert {batch.num_rows for batch in batches} == {300, 200}
    assert pa.Table.from_batches(batches).to_pydict() == {"text": texts, "n": list(range(2000))}
    few = list(read_file_split(share, ["n"], **size))
    assert [batch.num_rows for batch in few] == [1000, 1000]
    words = list(read_file_split(share, ["text"], words=["text"], **size))
    assert [pa.types.is_dictionary(batch.column(0).type) for batch in words] == [True, True]
    assert [text for batch in words for text in batch.column(0).to_pylist()] == texts


def test_timestamps_of_all_years_are_read_as_spark_wrote_them(classic_spark, tmp_path):
    frame = classic_spark.sql(
        "select timestamp'9999-12-31 23:59:59.999999' t union all select timestamp'0001-01-01'"
    )
    classic_spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    try:
        frame.coalesce(1).write.parquet(str(tmp_path / "t"))
    finally:
        classic_spark.conf.unset("spark.sql.parquet.outputTimestampType")
    files = ParquetFiles(tuple(map(str, (tmp_path / "t").glob("*.parquet"))))
    [batch] = read_file_split(plan_file_splits(files, 1)[0])
    micros = sorted(batch.column(0).cast(pa.int64()).to_pylist())
    assert micros == [-62135596800000000, 253402300799999999]
