"""The former place of `synml_dagster.tables.open_table`."""

from synml_dagster.tables import open_table

__all__ = ["open_table"]
