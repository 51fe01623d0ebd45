"""Rows of a DataFrame as a plan's summaries are told of them: whatever Spark can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.features.compile.label import class_index, label_number, label_word
from synml_dagster.features.kinds.categorical import word_of
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.profile.aggregate import S, summarise
from synml_dagster.features.profile.request import Asked, RowFacts, Value
from synml_dagster.features.splitting.row_hash import row_hash
from synml_dagster.features.splitting.split import fold, position, side

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
        placing, word = [raw.path for raw in facts.placing], label_word(facts.target)
        place = position(facts.by, placing, facts.split_column, facts.seed, list(facts.ordered), word)
        columns.append(place.alias("position"))
        if facts.weights is not None:
            columns.append(facts.weights.value().cast("double").alias("weight"))
        return summarise(self.df.select(*columns), make)

    def training_rows(self, split: SplitPlan, label: LabelPlan, folds: bool = False) -> DataFrame:
        """Return the labelled rows of the training side, with their `__fold` where `folds` are asked for."""
        from pyspark.sql import functions as sf

        word = label_word(self.facts.target)
        index = class_index(label, word) if label.classes else None
        # Beside the rows and not in the condition: where rows are spread, both number the rows of the whole table.
        rows = self.df.select(
            "*", side(split, index, word).alias("__side"), fold(split, word).alias("__fold")
        )
        rows = rows.where((word != "") & (sf.col("__side") == "train")).drop("__side")
        return rows if folds else rows.drop("__fold")


def _value(value: Value) -> Column:
    from pyspark.sql import functions as sf

    if value.is_word:
        return word_of(value.raw)
    raw = value.raw.value()
    if value.place is not None:
        return sf.coalesce(sf.get(raw, sf.lit(value.place)), sf.lit(float("nan")))
    return raw.cast("double")
