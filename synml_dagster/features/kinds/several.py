"""A raw column whose features are made in several ways side by side, for models that answer together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synml_dagster.features.kinds.base import FittedColumn
from synml_dagster.features.kinds.categorical import CategoricalColumn
from synml_dagster.features.kinds.numeric import NumericColumn
from synml_dagster.features.kinds.text import TextColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

_Way = Annotated[NumericColumn | CategoricalColumn | TextColumn, Field(discriminator="kind")]


class SeveralColumn(FittedColumn):
    """The features of several ways, one after the other; each has names of its own."""

    kind: Literal["several"] = "several"
    each: list[_Way] = Field(min_length=2, description="The ways, the described one first where it is one.")

    @classmethod
    def of(cls, ways: Sequence[FittedColumn]) -> SeveralColumn:
        """Return ways to make features of one raw column as one column."""
        features = [name for way in ways for name in way.features]
        return cls.model_validate(
            {"input": ways[0].input, "features": features, "each": [w.model_dump() for w in ways]}
        )

    @property
    def ways(self) -> Sequence[FittedColumn]:
        """The ways."""
        return self.each

    @property
    def native_categorical(self) -> list[str]:
        """Those of all ways."""
        return [name for way in self.each for name in way.native_categorical]

    @property
    def outside_onnx(self) -> str | None:
        """The reason of the first way that has one: the features of all ways are then taken ready made."""
        return next((reason for way in self.each if (reason := way.outside_onnx)), None)

    def prepare(self, value: Column) -> Column:
        """Return what each way starts from, as fields of a struct."""
        from pyspark.sql import functions as sf

        return sf.struct(*(way.prepare(value).alias(f"w{i}") for i, way in enumerate(self.each)))

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return the features of each way."""
        return [
            made for i, way in enumerate(self.each) for made in way.to_spark(value.getField(f"w{i}"), fold)
        ]

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the features of each way side by side."""
        return graph.concat([way.to_onnx(graph, value) for way in self.each])
