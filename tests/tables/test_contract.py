"""Folders of Parquet and tables of Spark's catalog hold the contracts of table formats."""

from __future__ import annotations

import uuid

import pytest

from synml_dagster.tables import (
    append_table,
    open_catalog_table,
    open_table,
    publish_catalog_table,
    publish_table,
)
from synml_dagster.testing import AppendedTableContract, TableFormatContract


class TestParquet(TableFormatContract):
    def publish(self, frame, place):
        return publish_table(frame, place)

    def read(self, spark, place):
        return open_table(place).dataframe(spark)


class TestCatalog(TableFormatContract):
    def publish(self, frame, place):
        return publish_catalog_table(frame, place)

    def read(self, spark, place):
        return open_catalog_table(spark, place)

    @pytest.fixture
    def place(self, spark):
        name = f"contract_{uuid.uuid4().hex[:8]}"
        spark.sql(f"CREATE DATABASE {name}")
        yield f"{name}.kept"
        spark.sql(f"DROP DATABASE {name} CASCADE")


class TestAppended(AppendedTableContract):
    def append(self, frame, place, run):
        return append_table(frame, place, run=run)

    def read(self, spark, place):
        return open_table(place).dataframe(spark)
