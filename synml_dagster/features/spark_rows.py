"""Rows of a DataFrame as a plan's summaries are told of them: whatever Spark can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.features.kinds.categorical import as_word
from synml_dagster.features.label import class_index, label_number, label_word
from synml_dagster.features.passes import S, summarise
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.row_facts import Asked, RowFacts, Value
from synml_dagster.features.row_hash import row_hash
from synml_dagster.features.split import position, side

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class SparkRows:
    """A DataFrame's rows, moved to Python by Spark."""

    df: DataFrame
    facts: RowFacts

    def summary(self, asked: Asked, make: Callable[[], S]) -> S:
        """Return the summary of the rows, in one Spark job."""
        from pyspark.sql import functions as sf

        facts = self.facts
        hashed = [raw.path for raw in facts.hashed]
        columns = [
            row_hash(hashed, facts.seed).alias("hash"),
            label_word(facts.target).alias("word"),
            label_number(facts.target).alias("number"),
            *[sf.size(a.value()).cast("double").alias(f"size_{i}") for i, a in enumerate(asked.sizes)],
            *[_value(v).alias(v.name) for v in asked.values],
        ]
        if asked.trained is not None:
            return summarise(self.training_rows(*asked.trained).select(*columns), make)
        columns.append(position(facts.by, hashed, facts.split_column, facts.seed).alias("position"))
        if facts.weights is not None:
            columns.append(facts.weights.value().cast("double").alias("weight"))
        return summarise(self.df.select(*columns), make)

    def training_rows(self, split: SplitPlan, label: LabelPlan) -> DataFrame:
        """Return the labelled rows of the training side."""
        word = label_word(self.facts.target)
        index = class_index(label, word) if label.classes else None
        return self.df.where((word != "") & (side(split, index) == "train"))


def _value(value: Value) -> Column:
    from pyspark.sql import functions as sf

    raw = value.raw.value()
    if value.place is not None:
        return sf.coalesce(sf.get(raw, sf.lit(value.place)), sf.lit(float("nan")))
    return as_word(raw, value.raw.storage) if value.is_word else raw.cast("double")
