"""Rows of a table that their own content chooses: the same ones, however the table is partitioned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_TICKETS = 1_000_000


def sample_by_content(
    frame: DataFrame, most: int, total: int, *, by: Sequence[str] | None = None
) -> DataFrame:
    """Return about `most` of the `total` rows of `frame`; all of them where there are no more.

    Rows that are equal in the columns `by`, in all where it is None, are chosen together.
    """
    from pyspark.sql import functions as sf

    if total <= most:
        return frame
    ticket = sf.pmod(sf.xxhash64(*(sf.col(quoted(c)) for c in by or frame.columns)), sf.lit(_TICKETS))
    return frame.where(ticket < sf.lit(int(_TICKETS * most / total)))
