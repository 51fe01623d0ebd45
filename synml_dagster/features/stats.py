"""What was seen of each raw column when a plan was fitted: the baseline that drift checks compare with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Histogram(BaseModel):
    """How the finite values of a column of numbers are spread over bins.

    Bin i holds the values above `edges[i - 1]` and up to `edges[i]`; the first is open below and the last above. Edges
    are values of the column: each but the greatest where there are few, else every 5% of the rows.
    """

    model_config = ConfigDict(extra="forbid")

    edges: list[float]
    counts: list[int] = Field(description="Rows of the sample by bin, one more than edges.")


class ColumnStats(BaseModel):
    """Figures of one raw column over the training rows.

    Numbers of a date are days and of a timestamp microseconds since 1970-01-01. Quantiles are those of a sample of
    rows that is chosen by the rows' content; everything else is exact, but `distinct`, which is the sample's where
    a column has more values than are worth counting.
    """

    model_config = ConfigDict(extra="forbid")

    column: str
    type: str
    rows: int
    missing: int
    distinct: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    infinite: int = 0
    quantiles: dict[str, float] = Field(
        default_factory=dict, description="p01, p05, p10, p20 ... p90, p95, p99 of the finite values."
    )
    histogram: Histogram | None = Field(
        default=None, description="Of a column of numbers; plans of earlier versions have none."
    )
    top: dict[str, int] = Field(default_factory=dict, description="The most frequent values and their rows.")

    @property
    def missing_share(self) -> float:
        """Missing rows over all rows, 0 for an empty table."""
        return self.missing / self.rows if self.rows else 0.0
