"""Files that tasks read by themselves, with pyarrow and past Spark's rows: which, how split, on which filesystem."""

from synml_dagster.files.file_splits import (
    FileSplit,
    RowRange,
    file_split_frame,
    plan_file_splits,
    read_file_split,
)
from synml_dagster.files.parquet_files import ParquetFiles, files_reachable

__all__ = [
    "FileSplit",
    "ParquetFiles",
    "RowRange",
    "file_split_frame",
    "files_reachable",
    "plan_file_splits",
    "read_file_split",
]
