"""Arrays of numbers and ML vectors, one feature per place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synml_dagster.features.kinds.base import FittedColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph


class VectorColumn(FittedColumn):
    """The first `input.width` places of an array; a place that a row does not have is NaN."""

    kind: Literal["vector"] = "vector"
    impute: list[float] | None = None
    center: list[float] | None = None
    spread: list[float] | None = None

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return one column per place."""
        from pyspark.sql import functions as sf

        out = []
        for i in range(self.input.width):
            place = sf.coalesce(sf.get(value, sf.lit(i)), sf.lit(float("nan")))
            if self.impute is not None:
                place = sf.when(sf.isnan(place), sf.lit(self.impute[i])).otherwise(place)
            if self.center is not None and self.spread is not None:
                place = (place - self.center[i]) / self.spread[i]
            out.append(place)
        return out

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the places side by side."""
        import numpy as np

        if self.impute is not None:
            filled = graph.constant(np.array([self.impute], dtype=np.float64))
            value = graph.where(graph.node("IsNaN", value), filled, value)
        if self.center is not None and self.spread is not None:
            centered = graph.node("Sub", value, graph.constant(np.array([self.center], dtype=np.float64)))
            value = graph.node("Div", centered, graph.constant(np.array([self.spread], dtype=np.float64)))
        return graph.cast(value, "float")
