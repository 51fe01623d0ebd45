"""Numbers, booleans, and numbers that are written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.columns.number_format import NUMBER, NumberFormat
from synml_dagster.features.kinds.base import FittedColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph


class Affine(BaseModel):
    """`(x - center) / spread`: standard (mean, deviation), minmax (minimum, range), robust (median, quartile range), shift (a value in the middle, 1)."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["standard", "minmax", "robust", "shift"]
    center: float
    spread: float

    def to_spark(self, value: Column) -> Column:
        """Return the scaled float64 column."""
        return (value - self.center) / self.spread

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the scaled float64 tensor."""
        import numpy as np

        centered = graph.node("Sub", value, graph.constant(self.center, np.float64))
        return graph.node("Div", centered, graph.constant(self.spread, np.float64))


class Quantiles(BaseModel):
    """The share of training rows below x, linear between the knots: 0 below the first, 1 above the last."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["quantile"] = "quantile"
    knots: Annotated[list[float], Field(min_length=2)]
    shares: list[float]

    def _pieces(self) -> list[tuple[float, float, float]]:
        ends = zip(self.knots, self.knots[1:], self.shares, self.shares[1:], strict=False)
        return [(a, b - a, d - c) for a, b, c, d in ends]

    def to_spark(self, value: Column) -> Column:
        """Return the scaled float64 column."""
        from pyspark.sql import functions as sf

        total = sf.lit(0.0)
        for start, length, weight in self._pieces():
            inside = sf.greatest(sf.lit(0.0), sf.least(sf.lit(1.0), (value - start) / length))
            total = total + inside * weight
        # least and greatest take NaN for the largest number there is.
        return sf.when(sf.isnan(value), sf.lit(float("nan"))).otherwise(total)

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the scaled float64 tensor."""
        import numpy as np

        start, length, weight = (
            np.array(v, dtype=np.float64)[None, :] for v in zip(*self._pieces(), strict=True)
        )
        place = graph.node("Div", graph.node("Sub", value, graph.constant(start)), graph.constant(length))
        clipped = graph.node("Clip", place, graph.constant(0.0, np.float64), graph.constant(1.0, np.float64))
        weighted = graph.node("Mul", clipped, graph.constant(weight))
        total = graph.node("ReduceSum", weighted, graph.constant([1], np.int64), keepdims=1)
        return graph.where(graph.node("IsNaN", value), graph.constant(np.nan, np.float64), total)


class NumericColumn(FittedColumn):
    """A number as it is, NaN where it is missing; imputed, flagged and scaled where the description says so.

    Infinite values stay infinite: trees split on them like on any other number.
    """

    kind: Literal["numeric"] = "numeric"
    written: NumberFormat | None = Field(
        default=None, description="How the numbers are written in text, where not as programs write them."
    )
    impute: float | None = None
    indicator: bool = False
    scale: Annotated[Affine | Quantiles, Field(discriminator="kind")] | None = None

    @property
    def as_it_is(self) -> bool:
        """Whether the number is neither read from text nor imputed, flagged or scaled."""
        changed = self.impute is not None or self.indicator or self.scale is not None
        return self.input.storage != "string" and not changed

    def prepare(self, value: Column) -> Column:
        """Return the number, read from text where it is written so."""
        from pyspark.sql import functions as sf

        if self.input.storage != "string":
            return value
        if self.written is not None:
            return self.written.to_spark(value)
        number = sf.when(value.rlike(f"^(?:{NUMBER})$"), value.try_cast("double"))
        return sf.coalesce(number, sf.lit(float("nan")))

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return the number, and after it the indicator where there is one."""
        from pyspark.sql import functions as sf

        out = value if self.impute is None else sf.when(sf.isnan(value), sf.lit(self.impute)).otherwise(value)
        out = out if self.scale is None else self.scale.to_spark(out)
        return [out, sf.isnan(value).cast("double")] if self.indicator else [out]

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the number, and beside it the indicator where there is one."""
        import numpy as np

        nan = graph.constant(np.nan, np.float64)
        if self.input.storage == "string" and self.written is not None:
            value = self.written.to_onnx(graph, value)
        elif self.input.storage == "string":
            written = graph.node("RegexFullMatch", value, pattern=NUMBER)
            value = graph.where(written, value, graph.constant("0"))
            value = graph.where(written, graph.cast(value, "double"), nan)
        if self.impute is None and self.scale is None and not self.indicator:
            return graph.cast(value, "float")
        value = graph.cast(value, "double")
        missing = graph.node("IsNaN", value)
        out = value
        if self.impute is not None:
            out = graph.where(missing, graph.constant(self.impute, np.float64), value)
        out = out if self.scale is None else self.scale.to_onnx(graph, out)
        out = graph.cast(out, "float")
        return graph.concat([out, graph.cast(missing, "float")]) if self.indicator else out


class BooleanColumn(NumericColumn):
    """0 for false, 1 for true, NaN for missing."""

    kind: Literal["boolean"] = "boolean"  # type: ignore[assignment]
