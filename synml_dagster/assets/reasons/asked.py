"""What stages that ask the exported graph share: its test rows, what it answers, and which raw columns matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.features import GROUP, LABEL, SPLIT, WEIGHT, FeaturePlan, labelled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIMPLE = ("numeric", "categorical", "boolean")
"""Kinds of columns with single values that can be stepped through."""


@dataclass(frozen=True)
class Asked:
    """A graph that is asked about raw rows, and what its answers are called.

    Attributes
    ----------
    reads
        The top-level columns that it reads.
    output
        The answer that is looked at.
    outputs
        A name for each of its numbers: the second of two classes, all of more, else the answer itself.
    """

    exported: ExportedPipeline
    reads: list[str]
    output: str
    outputs: list[str]

    @classmethod
    def of(cls, exported: ExportedPipeline) -> Asked:
        """Return it for a pipeline."""
        plan = exported.fitted.plan
        classes = plan.label.classes or []
        outputs = classes[1:] if len(classes) == 2 else list(classes)
        reads = list(dict.fromkeys(raw.path[0] for raw in plan.raw_inputs))
        if not classes:
            return cls(exported, reads, "prediction", ["score" if plan.task == "ranking" else "prediction"])
        return cls(exported, reads, "probability", outputs)

    @property
    def plan(self) -> FeaturePlan:
        """How the features are made."""
        return self.exported.fitted.plan

    def rows(
        self, spark: SparkSession, side: str, most: int | None = None, *, measured: bool = False
    ) -> DataFrame:
        """Return raw rows of one side of the split with their label: all, or up to `most`, chosen by their content.

        `measured` rows have their weight and their query, too; of rankings they are whole queries, of which there is at least one.
        """
        from pyspark.sql import functions as sf

        from synml_dagster.explain.effects.grid import whole_queries
        from synml_dagster.spark import task_slots
        from synml_dagster.spark.quoting import quoted

        known = labelled(self.exported.fitted.raw.dataframe(spark), self.plan).where(sf.col(SPLIT) == side)
        roles = [c for c in (WEIGHT, GROUP) if measured and c in known.columns]
        narrow = known.select(*(sf.col(quoted(c)) for c in self.reads), LABEL, *roles)
        if most is not None and self.exported.fitted.rows.get(side, 0) > most:
            if GROUP in roles:
                narrow, _ = whole_queries(narrow, GROUP, most)
            else:
                content = sf.xxhash64(*(sf.col(quoted(c)) for c in self.reads))
                narrow = narrow.orderBy(content, LABEL).limit(most)
            narrow = narrow.repartition(task_slots(spark) or 8)
        return narrow

    def columns(self, named: list[str] | None, most: int, key: str) -> list[str]:
        """Return raw columns to look at: those that are named, or the most important ones whose values can be stepped through.

        Raises
        ------
        ConfigError
            A named one is not among them.
        DataError
            There is none.
        """
        able = [
            c
            for c in self.plan.columns
            if (c.each[0] if c.kind == "several" else c).kind in SIMPLE and len(c.input.path) == 1
        ]
        if named is not None:
            for name in named:
                if name not in [c.name for c in able]:
                    kind = next((c.kind for c in self.plan.columns if c.name == name), None)
                    why = f" is used as {kind}" if kind else " is no column of the model"
                    raise ConfigError(
                        f"{key} names {name!r}, which{why}; its values cannot be stepped through. Name columns of numbers, categories or booleans.{did_you_mean(name, [c.name for c in able])}"
                    )
            return named
        importance = self.exported.fitted.model.importance()
        ranked = sorted(able, key=lambda c: -sum(importance.get(f, 0.0) for f in c.features))
        if not ranked:
            raise DataError(
                f"{key.split('.columns')[0]}: the model reads no column of numbers, categories or booleans, and no other has values to step through. Leave it out."
            )
        return [c.name for c in ranked[:most]]
