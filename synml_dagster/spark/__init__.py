"""Spark sessions, tables, shares of a table's files, and the gang: n barrier ranks that meet and work."""

from synml_dagster.spark.catalog import CatalogTable, open_catalog_table, publish_catalog_table
from synml_dagster.spark.class_archive import make_class_archive
from synml_dagster.spark.parquet_files import ParquetFiles, shares_reachable
from synml_dagster.spark.publishing import publish_files, publish_table, written_table
from synml_dagster.spark.session import (
    SparkSettings,
    is_connect,
    is_local,
    open_session,
    ship_code,
    task_slots,
)
from synml_dagster.spark.set_aside import Marked
from synml_dagster.spark.shares import Piece, Share, plan_shares, read_share, share_frame
from synml_dagster.spark.table_union import TableUnion
from synml_dagster.spark.tables import Table, open_table
from synml_dagster.spark.task_writes import MadeRows

__all__ = [
    "CatalogTable",
    "MadeRows",
    "Marked",
    "ParquetFiles",
    "Piece",
    "Share",
    "SparkSettings",
    "Table",
    "TableUnion",
    "is_connect",
    "is_local",
    "make_class_archive",
    "open_catalog_table",
    "open_session",
    "open_table",
    "plan_shares",
    "publish_catalog_table",
    "publish_files",
    "publish_table",
    "read_share",
    "share_frame",
    "shares_reachable",
    "ship_code",
    "task_slots",
    "written_table",
]
