"""A table is replaced whole or not at all, and comes back as it was written."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.errors import SparkRuntimeException

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.tables import open_table, publish_table, restore_table, written_table
from synml_dagster.tables.plain_folder import versions_beside

AWKWARD = [
    "a b",
    "a.b",
    "a",
    "é ü 中",
    '{"x":[1,2]}',
    "a`b",
    "c,d;e",
    "tab\tline\n",
    "(p)=",
    "x/y%z",
    " lead",
    "__z",
]


def rows_of(frame):
    return sorted(tuple(row) for row in frame.collect())


def folders(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "versions").iterdir())


def test_rows_are_counted_while_they_are_written(spark, tmp_path):
    from pyspark.sql import functions as sf

    table = publish_table(
        spark.range(100),
        tmp_path / "t",
        observe={
            "even ones {é}": sf.count_if(sf.col("id") % 2 == 0),
            "none": sf.sum(sf.lit(None).cast("int")),
        },
    )
    assert (table.rows, table.counts) == (100, {"even ones {é}": 50, "none": 0})
    assert open_table(tmp_path / "t") == table
    assert table.dataframe(spark).count() == 100


def test_types_and_order_come_back_as_written(spark, tmp_path):
    frame = spark.sql(
        "SELECT '01' AS part, '2020-01-31' AS day, 1.5f AS f, 2Y AS b, 12.50BD AS d, "
        "timestamp'2020-01-01 00:00:00' AS t, array(1) AS arr, named_struct('x.y', 1) AS s"
    )
    table = publish_table(frame, tmp_path / "t", partition_by=["part"])
    back = table.dataframe(spark)
    assert back.dtypes == frame.dtypes
    assert rows_of(back) == rows_of(frame)
    assert back.first()["part"] == "01"
    assert back.first()["day"] == "2020-01-31"


def test_any_column_name_is_kept(spark, tmp_path):
    frame = spark.createDataFrame([tuple(range(len(AWKWARD)))], AWKWARD)
    table = publish_table(frame, tmp_path / "t", partition_by=["(p)="])
    assert table.columns == AWKWARD
    assert table.dataframe(spark).columns == AWKWARD
    assert tuple(table.dataframe(spark).first()) == tuple(range(len(AWKWARD)))
    assert table.files(**{"(p)=": "8"}).dataframe(spark).columns == [c for c in AWKWARD if c != "(p)="]


def test_any_folder_name_is_kept(spark, tmp_path):
    root = tmp_path / "w [a] {b}*? 100% é=1"
    table = publish_table(spark.range(7), root)
    assert table.dataframe(spark).count() == 7
    assert table.files().dataframe(spark).count() == 7


def test_the_files_of_one_partition(spark, tmp_path):
    names = ["train", "test", "a b/c=d%é", None]
    frame = spark.createDataFrame([(i, names[i % 4]) for i in range(40)], "x int, __split string")
    table = publish_table(frame, tmp_path / "t", partition_by=["__split"])
    for name in names:
        files = table.files(__split=name)
        assert files.count() == 10
        assert {row["x"] % 4 for row in files.dataframe(spark).collect()} == {names.index(name)}
    assert table.files().count() == 40
    assert table.files(__split="nobody").paths == ()
    with pytest.raises(ConfigError, match="not partitioned by 'split'"):
        table.files(split="train")


@pytest.mark.parametrize("partition_by", [[], ["b"]])
def test_an_empty_table_keeps_its_schema(spark, tmp_path, partition_by):
    table = publish_table(
        spark.createDataFrame([], "a float, b string"), tmp_path / "t", partition_by=partition_by
    )
    assert table.rows == 0
    assert table.dataframe(spark).dtypes == [("a", "float"), ("b", "string")]
    assert table.files().count() == 0
    assert table.files().schema().field("a").type == "float"
    assert table.files().dataframe(spark).count() == 0


def test_a_failed_write_changes_nothing(spark, tmp_path):
    from pyspark.sql import functions as sf

    before = publish_table(spark.range(10), tmp_path / "t")
    bad = spark.range(100).select(
        sf.when(sf.col("id") < 99, sf.col("id")).otherwise(sf.raise_error(sf.lit("boom")))
    )
    with pytest.raises(SparkRuntimeException, match="boom"):
        publish_table(bad.toDF("id"), tmp_path / "t")
    assert open_table(tmp_path / "t") == before
    assert before.dataframe(spark).count() == 10
    assert folders(tmp_path / "t") == [before.version]


def test_a_table_can_be_rewritten_from_itself(spark, tmp_path):
    first = publish_table(spark.range(10), tmp_path / "t")
    second = publish_table(first.dataframe(spark).filter("id < 4"), tmp_path / "t")
    assert (first.dataframe(spark).count(), second.dataframe(spark).count()) == (10, 4)
    assert open_table(tmp_path / "t", first.version) == first


def test_the_last_versions_are_kept(classic_spark, tmp_path):
    made = [publish_table(classic_spark.range(i + 1), tmp_path / "t", keep=2) for i in range(4)]
    assert folders(tmp_path / "t") == [t.version for t in made[-2:]]
    assert open_table(tmp_path / "t").rows == 4
    with pytest.raises(SourceError, match="is not there; the versions kept are"):
        open_table(tmp_path / "t", made[0].version)
    with pytest.raises(SourceError, match="newer versions have been published"):
        made[0].files()
    with pytest.raises(ConfigError, match="keep must be at least 1"):
        publish_table(classic_spark.range(1), tmp_path / "t", keep=0)
    assert open_table(tmp_path / "t").rows == 4


@pytest.mark.parametrize("plain", [False, True])
def test_an_earlier_version_is_put_back_and_newer_ones_go_on_from_there(classic_spark, tmp_path, plain):
    root = versions_beside(str(tmp_path / "t")) if plain else str(tmp_path / "t")
    made = [publish_table(classic_spark.range(i + 1), root, keep=3) for i in range(3)]
    assert restore_table(tmp_path / "t").version == made[1].version
    assert open_table(tmp_path / "t").rows == 2
    if plain:  # as any Parquet reader finds it
        assert pq.read_table(tmp_path / "t").num_rows == 2
    assert restore_table(tmp_path / "t").rows == 1
    with pytest.raises(SourceError, match="keeps no version from before"):
        restore_table(tmp_path / "t")
    assert restore_table(tmp_path / "t", made[2].version).rows == 3
    assert restore_table(tmp_path / "t").rows == 1  # what readers saw before
    with pytest.raises(SourceError, match="is not there; the versions kept are"):
        restore_table(tmp_path / "t", "20260101T000000000000-00000000")
    restore_table(tmp_path / "t", made[1].version)
    for rows in (9, 10):  # the third is no more what is put back, and the second is kept for it
        publish_table(classic_spark.range(rows), root, keep=3)
    assert open_table(tmp_path / "t").rows == 10
    assert [restore_table(tmp_path / "t").rows for _ in range(2)] == [9, 2]
    assert (
        restore_table(tmp_path / "t", made[1].version).rows == 2
    )  # as it is already, and no version before itself
    assert made[1].version not in json.loads((Path(root) / "_current.json").read_text()).get("before", [])
    publish_table(classic_spark.range(11), root, keep=3)
    assert restore_table(tmp_path / "t").rows == 2
    # A pointer of an earlier release knows of no version before; then the last that was published before is it.
    pointer = Path(root) / "_current.json"
    told = json.loads(pointer.read_text())
    pointer.write_text(json.dumps({"version": folders(Path(root))[-1], "created": told["created"]}))
    assert restore_table(tmp_path / "t").rows == 10


def test_publishers_at_the_same_time_do_not_harm_each_other(classic_spark, tmp_path):
    made, problems = [], []

    def publish(i: int) -> None:
        try:
            made.append(publish_table(classic_spark.range(i + 1), tmp_path / "t", keep=1))
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []
    assert sorted(t.rows for t in made) == [1, 2, 3, 4, 5, 6]
    current = open_table(tmp_path / "t")
    assert current.dataframe(classic_spark).count() == current.rows
    assert folders(tmp_path / "t") == [current.version]


def test_a_write_in_progress_is_not_collected(classic_spark, tmp_path):
    publish_table(classic_spark.range(1), tmp_path / "t", keep=1)
    from synml_dagster.tables.versions import VersionedDirectory

    elsewhere = VersionedDirectory(tmp_path / "t")
    unfinished = Path(elsewhere.path(elsewhere.new_version()))
    unfinished.mkdir()
    abandoned = tmp_path / "t" / "versions" / "20200101T000000000000-00000000"
    abandoned.mkdir()
    publish_table(classic_spark.range(2), tmp_path / "t", keep=1)
    assert unfinished.exists()
    assert not abandoned.exists()


def test_what_cannot_be_stored_is_named(spark, tmp_path):
    with pytest.raises(DataError, match="column 'v' is of type void"):
        publish_table(spark.sql("SELECT NULL AS v, 1 AS a"), tmp_path / "t")
    with pytest.raises(DataError, match="'a' and 'A' have one name"):
        publish_table(spark.sql("SELECT 1 AS a, 2 AS A"), tmp_path / "t")
    with pytest.raises(ConfigError, match=r"'__spilt', which is not a column. Did you mean '__split'"):
        publish_table(spark.sql("SELECT 1 AS a, 2 AS __split"), tmp_path / "t", partition_by=["__spilt"])
    with pytest.raises(DataError, match="besides those that it is partitioned by"):
        publish_table(spark.sql("SELECT 1 AS a"), tmp_path / "t", partition_by=["a"])
    assert not (tmp_path / "t").exists()


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(SourceError, match="nothing has been published under"):
        open_table(tmp_path / "nothing")


def test_the_pointer_says_which_version_is_read(classic_spark, tmp_path):
    first = publish_table(classic_spark.range(1), tmp_path / "t")
    publish_table(classic_spark.range(2), tmp_path / "t")
    (tmp_path / "t" / "_current.json").write_text(json.dumps({"version": first.version}))
    assert open_table(tmp_path / "t") == first


LENDS = """
import sys, time
from synml_dagster.tables.versions import VersionedDirectory
directory = VersionedDirectory(sys.argv[1])
version = directory.new_version()
directory.claim(version)
import os
os.makedirs(directory.path(version))
print(version, flush=True)
time.sleep(60)
"""


def test_a_folder_that_held_lent_rows_becomes_a_plain_one(classic_spark, tmp_path):
    with written_table(classic_spark.range(5), tmp_path / "t"):
        pass
    publish_table(classic_spark.range(3), versions_beside(str(tmp_path / "t")))
    assert pq.read_table(tmp_path / "t").num_rows == 3


def test_rows_that_a_killed_process_had_lent_are_removed_by_the_next(classic_spark, tmp_path):
    root = tmp_path / "sample"
    lenders = [
        subprocess.Popen([sys.executable, "-c", LENDS, str(root)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        killed, alive = (lender.stdout.readline().strip() for lender in lenders)
        lenders[0].kill()
        lenders[0].wait()
        with written_table(classic_spark.range(5), root) as table:
            assert table.files().count() == 5
            left = {path.name for path in (root / "versions").iterdir()}
            assert killed not in left
            assert alive in left
            assert len(left) == 2
        assert [path.name for path in (root / "versions").iterdir()] == [alive]
    finally:
        for lender in lenders:
            lender.kill()
            lender.wait()
