"""The second run of a pipeline: what lies where its rows are published, as programs read it that know nothing of versions."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.tables import open_table, publish_files, publish_table
from synml_dagster.tables.plain_folder import versions_beside
from synml_dagster.tables.versions import MANIFEST, VersionedDirectory


def published(spark, folder, rows, key=None, **more):
    place = versions_beside(str(folder)) + (f"/partitions/{key}" if key else "")
    return publish_table(spark.range(rows), place, **more)


def seen(spark, folder):
    return len(pd.read_parquet(folder)), spark.read.parquet(str(folder)).count()


def age(folder, by):
    """Let the versions beside a folder be older: readers that have opened a former one get a minute for it."""
    for path in (folder.parent / f".{folder.name}.versions").rglob(MANIFEST):
        told = json.loads(path.read_text())
        told["created"] = (datetime.fromisoformat(told["created"]) - by).isoformat()
        path.write_text(json.dumps(told))


def test_the_folder_holds_the_current_rows_and_no_others(classic_spark, tmp_path):
    folder = tmp_path / "scores"
    for rows in (5, 3, 9, 1):
        age(folder, timedelta(minutes=2))
        table = published(classic_spark, folder, rows, keep=2)
        assert seen(classic_spark, folder) == (rows, rows)
        assert open_table(folder) == table
    assert len(os.listdir(tmp_path / ".scores.versions" / "versions")) == 2
    copied = publish_files(classic_spark, table.files(), tmp_path / ".scores.versions")
    assert seen(classic_spark, folder) == (1, 1)
    assert not {os.path.basename(p) for p in copied.files().paths} & set(os.listdir(table.path))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("scores", ".scores.versions"):
        os.rename(tmp_path / name, moved / name)
    assert seen(classic_spark, moved / "scores") == (1, 1)


def test_partitions_are_folders_of_the_folder(classic_spark, tmp_path):
    folder = tmp_path / "scores"
    for key, rows in (("a", 2), ("b", 3), ("a", 4)):
        published(classic_spark, folder, rows, key)
    assert seen(classic_spark, folder) == (7, 7)
    assert open_table(folder / "partitions" / "a").rows == 4
    published(classic_spark, folder, 5)  # whole from now on
    assert seen(classic_spark, folder) == (5, 5)
    published(classic_spark, folder, 2, "a")
    assert seen(classic_spark, folder) == (2, 2)


@pytest.mark.parametrize("name", ["runs", "partitions"])
def test_a_table_may_lie_in_a_folder_called_so(tmp_path, name):
    folder = tmp_path / name / "scores"
    beside = VersionedDirectory(versions_beside(str(folder)))
    for rows in ("one", "two"):
        version = beside.new_version()
        os.makedirs(beside.path(version))
        (Path(beside.path(version)) / rows).touch()
        beside.publish(version, {}, keep=1)
    assert "two" in os.listdir(folder)
    assert VersionedDirectory(folder).current() == version


@pytest.mark.parametrize("key", [None, "a"])
def test_what_an_earlier_release_published_is_moved_beside(classic_spark, tmp_path, key):
    folder = tmp_path / "scores"
    publish_table(classic_spark.range(3), folder / "partitions" / key if key else folder)
    published(classic_spark, folder, 5, "b" if key else None)
    assert seen(classic_spark, folder) == ((8, 8) if key else (5, 5))
    versions = tmp_path / ".scores.versions" / (f"partitions/{key}/versions" if key else "versions")
    assert len(os.listdir(versions)) == (1 if key else 2)


def test_a_folder_of_somebody_elses_files_is_left_alone(classic_spark, tmp_path):
    folder = tmp_path / "scores"
    folder.mkdir()
    published(classic_spark, folder, 1)  # an empty one will do
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.parquet").write_text("x")
    with pytest.raises(ConfigError, match=r"holds 'mine.parquet'.*Name another folder"):
        published(classic_spark, other, 1)
    assert os.listdir(other) == ["mine.parquet"]


def test_who_reads_while_it_is_replaced_never_sees_half(classic_spark, tmp_path):
    folder, sizes, odd, stop = tmp_path / "scores", {4, 6}, [], threading.Event()
    published(classic_spark, folder, 4)

    def read() -> None:
        while not stop.is_set():
            try:
                rows = pd.read_parquet(folder)
            except FileNotFoundError:  # it listed the version before, and says so
                continue
            # Arrow passes over files that go between its two looks at a folder; where all did, it answers no column.
            if len(rows) not in sizes and len(rows.columns):
                odd.append(len(rows))

    reader = threading.Thread(target=read)
    reader.start()
    for rows in (6, 4) * 4:
        published(classic_spark, folder, rows, keep=1)
    stop.set()
    reader.join(30)
    assert odd == []


def test_a_lock_lets_one_in_at_a_time_and_leaves_no_file(tmp_path, monkeypatch):
    import tempfile
    import time

    from synml_dagster.resources.mlflow_run import _alone

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    inside, most = [], []

    def enter() -> None:
        for _ in range(5):
            with _alone("run"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 20
    assert os.listdir(tmp_path) == []
