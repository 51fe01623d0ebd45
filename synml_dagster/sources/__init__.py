"""What a pipeline reads: files, tables and queries, and which version of them."""

from synml_dagster.sources.source import Source, read_source

__all__ = ["Source", "read_source"]
