"""The archive of Spark's classes: used where it fits, and never in the way where it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from synml_dagster.errors import SetupError
from synml_dagster.spark.class_archive import archive_options, archive_path, make_class_archive
from synml_dagster.spark.java import Java, check_java

_SESSION = """
from pathlib import Path
from synml_dagster.spark import SparkSettings, open_session

spark = open_session(SparkSettings(master="local[1]"))
assert spark.range(10).count() == 10
java = spark.sparkContext._gateway.proc.pid
children = {java} | {int(p) for p in Path(f"/proc/{java}/task/{java}/children").read_text().split()}
maps = "".join(Path(f"/proc/{p}/maps").read_text() for p in children)
print("USES", ".jsa" in maps and "spark-" in maps)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_an_archive_java_gets_no_option(cache):
    assert archive_options(check_java()) == ""


def test_another_java_has_another_archive(cache):
    here = check_java()
    archive = archive_path(here)
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert str(archive) in archive_options(here)
    assert archive_options(Java(here.program, here.version, here.says + " with a patch")) == ""


def test_a_java_that_keeps_none_is_said_in_a_sentence(cache, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", "/nowhere")
    with pytest.raises(SetupError, match=r"Java kept no archive of Spark's classes: .* Spark works without"):
        make_class_archive()
    assert not list((cache / "synml_dagster").glob("**/*"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what a process has mapped from /proc")
def test_a_session_maps_the_archive_and_starts_with_a_damaged_one_too(cache):
    archive = make_class_archive()
    assert archive.stat().st_size > 1_000_000
    assert list(archive.parent.iterdir()) == [archive]
    assert make_class_archive() == archive
    done = subprocess.run(
        [sys.executable, "-c", _SESSION], capture_output=True, text=True, timeout=120, check=False
    )
    assert "USES True" in done.stdout, done.stderr
    assert "cds" not in done.stdout + done.stderr
    archive.unlink()
    archive.write_bytes(b"no archive at all")
    done = subprocess.run(
        [sys.executable, "-c", _SESSION], capture_output=True, text=True, timeout=120, check=False
    )
    assert "USES False" in done.stdout, done.stderr
