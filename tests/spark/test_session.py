from __future__ import annotations

import pytest

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.spark import SparkSettings, is_connect, is_local, open_session, task_slots
from synml_dagster.spark.java import check_java


def test_both_kinds_answer_a_query(spark):
    assert spark.range(5).count() == 5


def test_the_kind_is_known(classic_spark, connect_spark):
    assert not is_connect(classic_spark)
    assert is_connect(connect_spark)


def test_local_sessions_know_their_slots(spark):
    assert is_local(spark)
    assert task_slots(spark) == 2


def test_opening_again_gives_the_same_session(classic_spark):
    assert open_session(SparkSettings(master="local[2]")) is classic_spark


def test_a_conflicting_static_setting_is_refused_by_name(classic_spark):
    with pytest.raises(ConfigError, match=r"spark\.driver\.memory .* cannot be changed to '77g'"):
        open_session(SparkSettings(master="local[2]", conf={"spark.driver.memory": "77g"}))


def test_another_master_in_the_same_process_is_refused(classic_spark):
    with pytest.raises(ConfigError, match=r"already holds a session on 'local\[2\]'"):
        open_session(SparkSettings(master="local[1]"))


def test_master_and_remote_together_are_refused():
    with pytest.raises(ConfigError, match="keep one"):
        SparkSettings(master="local[1]", remote="sc://x").target()


def test_java_that_is_missing_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match="holds no bin/java"):
        check_java()


def test_java_that_is_too_old_is_one_sentence(monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match=r"needs Java 17 or newer and .* is Java 11"):
        check_java()
