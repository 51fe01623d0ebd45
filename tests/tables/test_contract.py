"""Folders of Parquet and tables of Spark's catalog hold the contracts of table formats."""

from __future__ import annotations

import os
import uuid

import pytest

from synml_dagster.tables import (
    append_catalog_table,
    append_table,
    open_catalog_table,
    open_table,
    publish_catalog_table,
    publish_table,
    unioned,
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
    grows = True

    def append(self, frame, place, run, partition=None):
        return append_table(frame, self.root(place, partition), run=run)

    def read(self, spark, place):
        days = {day: self.root(place, day) for day in ("mon", "tue") if os.path.isdir(self.root(place, day))}
        if not days:
            return open_table(place).dataframe(spark)
        return unioned([open_table(root).dataframe(spark).selectExpr("*", f"'{day}' AS partition") for day, root in days.items()])  # fmt: skip

    def root(self, place, day):
        return place if day is None else f"{place}/partitions/{day}"


class TestCatalogAppended(AppendedTableContract):
    def append(self, frame, place, run, partition=None):
        return append_catalog_table(frame, place, run=run, partition=partition)

    def read(self, spark, place):
        return open_catalog_table(spark, place)

    place = TestCatalog.place
