"""What every kind of column can do: name its features and compile them twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from synml_dagster.columns import RawInput

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph


class FittedColumn(BaseModel):
    """One raw column and the features that are made of it.

    `to_spark` and `to_onnx` start from the value that `RawInput.value` describes and must agree: codes exactly,
    numbers to 1e-6 relative.
    """

    model_config = ConfigDict(extra="forbid")

    input: RawInput
    features: list[str]

    @property
    def name(self) -> str:
        """The raw column's name."""
        return self.input.name

    @property
    def native_categorical(self) -> list[str]:
        """Which of the features a tree learner takes as categories and not as numbers."""
        return []

    @property
    def ways(self) -> Sequence[FittedColumn]:
        """The ways in which its features are made: itself, but for a column of several."""
        return [self]

    @property
    def as_it_is(self) -> bool:
        """Whether the one feature is the raw value itself, a number."""
        return False

    @property
    def outside_onnx(self) -> str | None:
        """Why ONNX operators cannot make these features, or None where they can."""
        return None

    def prepare(self, value: Column) -> Column:
        """Return what all features of this column start from, made of the raw value that `RawInput.value` gives.

        It is a column of its own below the features: repeated inside each of them, Spark would take longer to
        analyse the query than to run it.
        """
        return value

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return one float64 column per feature, in the order of `features`.

        Parameters
        ----------
        value
            What `prepare` returns.
        fold
            For a training table: the row's fold from 0 up, -1 for rows of another side than training.
        """
        raise NotImplementedError

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Add nodes to `graph` and return the name of the float32 `[rows, len(features)]` tensor."""
        raise NotImplementedError


Fitted = tuple[FittedColumn | None, str, list[str]]
"""What fitting a column returns: the column, or None and the rule that drops it; and what there is to warn of."""
