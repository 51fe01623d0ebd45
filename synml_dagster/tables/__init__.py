"""Tables that are published whole: versions, catalogs, rejected rows."""

from synml_dagster.tables.accompanied import Accompanied, read_text
from synml_dagster.tables.append import append_table, check_append, check_replace
from synml_dagster.tables.catalog import CatalogTable, open_catalog_table, publish_catalog_table
from synml_dagster.tables.catalog_append import append_catalog_table
from synml_dagster.tables.database import (
    Database,
    DatabaseTable,
    append_database_table,
    open_database_table,
    publish_database_table,
)
from synml_dagster.tables.measured import Measured
from synml_dagster.tables.opening import open_table, restore_table, run_root
from synml_dagster.tables.plain_folder import PARTITION, RUN
from synml_dagster.tables.publish import publish_files, publish_table, written_table
from synml_dagster.tables.rejected import MarkedRows
from synml_dagster.tables.table import Table
from synml_dagster.tables.union import TableUnion, together, unioned

__all__ = [
    "PARTITION",
    "RUN",
    "Accompanied",
    "CatalogTable",
    "Database",
    "DatabaseTable",
    "MarkedRows",
    "Measured",
    "Table",
    "TableUnion",
    "append_catalog_table",
    "append_database_table",
    "append_table",
    "check_append",
    "check_replace",
    "open_catalog_table",
    "open_database_table",
    "open_table",
    "publish_catalog_table",
    "publish_database_table",
    "publish_files",
    "publish_table",
    "read_text",
    "restore_table",
    "run_root",
    "together",
    "unioned",
    "written_table",
]
