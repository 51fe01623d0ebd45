"""A column of answers as an asset: its description, what Dagster runs, and its YAML face."""

from synml_dagster.service_assets.column import ServiceColumn
from synml_dagster.service_assets.component import ServiceComponent

__all__ = ["ServiceColumn", "ServiceComponent"]
