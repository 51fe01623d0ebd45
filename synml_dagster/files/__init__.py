"""Files that tasks read by themselves, with pyarrow and past Spark's rows: which, how split, on which filesystem."""

from synml_dagster.files.mapping import map_files
from synml_dagster.files.parquet_files import ParquetFiles, files_reachable

__all__ = ["ParquetFiles", "files_reachable", "map_files"]
