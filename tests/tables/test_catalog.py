"""Catalog tables are replaced whole or not at all."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.tables import open_catalog_table, publish_catalog_table


@pytest.fixture
def database(spark, request):
    name = f"catalog_{request.node.name.split('[')[1].rstrip(']')}"
    spark.sql(f"CREATE DATABASE {name}")
    yield name
    spark.sql(f"DROP DATABASE {name} CASCADE")


def tables(spark, database):
    # Spark lists the session's temporary views in every database.
    return [row.tableName for row in spark.sql(f"SHOW TABLES IN {database}").collect() if not row.isTemporary]


def test_a_table_is_replaced_with_other_columns_and_its_rows_are_counted(spark, database):
    name = f"{database}.scores"
    assert publish_catalog_table(spark.range(5), name).rows == 5
    told = publish_catalog_table(spark.sql("SELECT id, 'x' AS word FROM range(7)"), name)
    assert (told.rows, told.provider) == (7, "parquet")
    assert open_catalog_table(spark, name).columns == ["id", "word"]
    assert tables(spark, database) == ["scores"]


def test_a_table_can_be_made_of_its_own_rows(spark, database):
    name = f"{database}.scores"
    publish_catalog_table(spark.range(5), name)
    assert publish_catalog_table(open_catalog_table(spark, name).where("id > 1"), name).rows == 3
    assert spark.table(name).count() == 3


def test_a_write_that_fails_leaves_the_table_that_was_there_and_nothing_else(spark, database):
    name = f"{database}.scores"
    publish_catalog_table(spark.range(5), name)
    fails = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id FROM range(100)"
    with pytest.raises(PySparkException, match="boom"):
        publish_catalog_table(spark.sql(fails), name)
    assert spark.table(name).count() == 5
    assert tables(spark, database) == ["scores"]


def test_a_table_whose_replacement_was_killed_between_two_names_is_said_and_made_again(spark, database):
    name = f"{database}.scores"
    publish_catalog_table(spark.range(5), name)
    spark.range(7).write.saveAsTable(f"{name}__new_0123abcd")
    spark.sql(f"ALTER TABLE {name} RENAME TO {name}__old_0123abcd")
    spark.range(3).write.saveAsTable(f"{name}_of_others__old_0123abcd")
    with pytest.raises(SourceError, match=f"former rows of it are in '{name}__old_0123abcd'"):
        open_catalog_table(spark, name)
    assert publish_catalog_table(spark.range(9), name).rows == 9
    assert sorted(tables(spark, database)) == ["scores", "scores_of_others__old_0123abcd"]


def test_what_is_no_table_is_refused_by_name(spark, database):
    spark.sql(f"CREATE VIEW {database}.seen AS SELECT 1 AS id")
    with pytest.raises(ConfigError, match="is a view"):
        publish_catalog_table(spark.range(1), f"{database}.seen")
    with pytest.raises(ConfigError, match="no name of a table"):
        publish_catalog_table(spark.range(1), "a.b.c.d")
    with pytest.raises(SourceError, match="has no table"):
        open_catalog_table(spark, f"{database}.absent")
    with pytest.raises(SourceError, match="has no table"):
        open_catalog_table(spark, "no_such_database.absent")
