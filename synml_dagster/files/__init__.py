"""Files that tasks read by themselves, with pyarrow and past Spark's rows: which, how split, on which filesystem."""

from synml_dagster.files.file_splits import Piece, Share, plan_shares, read_share, share_frame
from synml_dagster.files.parquet_files import ParquetFiles, shares_reachable

__all__ = ["ParquetFiles", "Piece", "Share", "plan_shares", "read_share", "share_frame", "shares_reachable"]
