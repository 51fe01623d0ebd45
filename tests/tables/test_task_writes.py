"""Tables that tasks write by themselves: whole or not at all, wherever they are."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PythonException

from synml_dagster.errors import ConfigError, DataError, SetupError, SourceError
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import publish_files
from synml_dagster.tables.task_writes import MadeRows, write_rows


def written(folder, count=4, rows=10):
    """Files of numbered rows, and Spark's schema of them."""
    folder.mkdir(exist_ok=True)
    paths = []
    for i in range(count):
        numbers = np.arange(rows * i, rows * (i + 1))
        table = pa.table({"id": numbers, "half": numbers / 2, "word": [f"w{n % 2}" for n in numbers]})
        pq.write_table(table, folder / f"{i}.parquet")
        paths.append(str(folder / f"{i}.parquet"))
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {}}
        for name, kind in (("id", "long"), ("half", "double"), ("word", "string"))
    ]
    return ParquetFiles(tuple(paths), schema_json=json.dumps({"type": "struct", "fields": fields}))


def made(files, make):
    return MadeRows(files, ("id", "half", "word"), {}, make, files.schema_json)


def test_an_error_of_a_task_arrives_as_what_it_is_and_leaves_nothing(spark, tmp_path):
    files = written(tmp_path / "source")

    def refuse(batch):
        from synml_dagster.errors import DataError

        if batch.column(0)[0].as_py() == 0:
            raise DataError("column 'half' holds what it should not. Mend it.")
        time.sleep(0.5)
        return batch

    with pytest.raises(DataError, match=r"^column 'half' holds what it should not\. Mend it\.$"):
        publish_files(spark, made(files, refuse), tmp_path / "table")
    time.sleep(2)  # tasks that had begun end by now
    assert [p for p in (tmp_path / "table").rglob("*") if p.is_file() and p.name != ".lock"] == []


def test_other_errors_of_a_task_stay_what_they_are(classic_spark, tmp_path):
    def fail(batch):
        raise ZeroDivisionError("no such thing")

    with pytest.raises(PythonException, match="ZeroDivisionError: no such thing"):
        publish_files(classic_spark, made(written(tmp_path / "source"), fail), tmp_path / "table")


def test_layouts_that_cannot_be_are_refused_before_anything_is_written(classic_spark, tmp_path):
    files = written(tmp_path / "source")
    rows = made(files, lambda batch: batch)
    for given, layout, told in (
        (rows, ["wrod"], "'wrod', which is not a column. Did you mean 'word'"),
        (rows, ["half"], "'half', a double"),
        (files, ["word"], "files are copied as they are"),
    ):
        with pytest.raises(ConfigError, match=told):
            publish_files(classic_spark, given, tmp_path / "table", partition_by=layout)
    assert not (tmp_path / "table").exists()
    table = publish_files(classic_spark, rows, tmp_path / "table", partition_by=["word"])
    assert table.rows == 40
    assert len(table.files(word="w1").paths) >= 1


def test_a_source_that_is_gone_is_named(spark, tmp_path):
    files = written(tmp_path / "source")
    (tmp_path / "source" / "2.parquet").unlink()
    with pytest.raises(SourceError, match=r"there is no file '.*2\.parquet' any more"):
        publish_files(spark, files, tmp_path / "table")


def test_a_folder_that_tasks_do_not_see_is_a_setup_error(classic_spark, tmp_path):
    from synml_dagster.spark.task_errors import typed_errors

    rows = made(written(tmp_path / "source"), lambda batch: batch)
    with pytest.raises(SetupError, match="do not share this file system"), typed_errors():
        write_rows(classic_spark, rows, str(tmp_path / "nowhere"), [])
    assert not (tmp_path / "nowhere").exists()


def test_a_few_columns_that_become_thousands_come_in_few_rows(classic_spark, tmp_path):
    files = written(tmp_path / "source", count=1, rows=70_000)
    names = ["id", *(f"x{i}" for i in range(4000))]
    fields = [{"name": n, "type": "long", "nullable": True, "metadata": {}} for n in names]

    def spread(batch):
        import pyarrow as pa

        return pa.RecordBatch.from_arrays([pa.repeat(batch.num_rows, batch.num_rows)] * len(names), names)

    rows = MadeRows(files, ("id",), {}, spread, json.dumps({"type": "struct", "fields": fields}))
    table = publish_files(classic_spark, rows, tmp_path / "table")
    assert table.rows == 70_000
    at_once = [pq.read_table(path, columns=["id"]).column("id").to_pylist() for path in table.files().paths]
    assert max(map(max, at_once)) <= 4096


@pytest.mark.slow
def test_tables_in_an_object_store():
    done = subprocess.run(
        [sys.executable, "-m", "tests.files.on_object_store"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    for name in ("copied", "made"):
        assert told[name] == {
            "rows": 30,
            "ids": list(range(30)),
            "as spark calls them": True,
            "elsewhere": [],
        }
    assert told["within the store"] == list(range(30))
    assert told["after a failing attempt"] == 100
    assert told["gone"] == [
        "SourceError",
        "there is no file 's3://bucket/none.parquet' any more. Run the step again.",
    ]
    assert told["left of it"] == []
