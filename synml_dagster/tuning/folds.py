"""On which rows trials are measured: folds of a small table, the validation split of a large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError
from synml_dagster.features import GROUP, LABEL, WEIGHT
from synml_dagster.learners.one_process.rows import Rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.files import ParquetFiles

FOLDS_BELOW = 20_000
"""Tables of fewer training and validation rows are measured by folds: one held-out part of them is too small to tell."""
TWICE_BELOW = 1_000
FOLDS = 5

_RARE = 60
"""Classes of fewer rows in the whole table are counted before they are parted."""

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the rows to train on and of those held out."""


@dataclass(frozen=True)
class Fewest:
    """What bounds the number of folds, besides the rows.

    Attributes
    ----------
    queries
        How many a ranking has; None for any other task.
    rarest
        The class with the fewest rows, and how many these are; None where no class is rare.
    """

    queries: int | None = None
    rarest: tuple[str, int] | None = None


def fewest_of(spark: SparkSession, plan: FeaturePlan, *files: ParquetFiles) -> Fewest:
    """Count the queries of a ranking, or the rows of its rarest class where the table has a rare one."""
    from pyspark.sql import functions as sf

    classes, known = plan.label.classes or [], plan.label.class_rows or []
    ranked = plan.task == "ranking" and plan.group is not None
    rare = bool(classes) and len(known) == len(classes) and min(known) < _RARE
    if not ranked and not rare:
        return Fewest()
    column = sf.col(GROUP if ranked else LABEL).alias("one")
    frames = [one.dataframe(spark) for one in files]
    # A row of weight 0 teaches nothing of its class.
    each = [
        frame.where(sf.col(WEIGHT) > 0) if WEIGHT in frame.columns and not ranked else frame
        for frame in frames
    ]
    together = each[0].select(column)
    for frame in each[1:]:
        together = together.union(frame.select(column))
    if ranked:
        return Fewest(queries=together.distinct().count())
    told = {int(row["one"]): int(row["count"]) for row in together.groupBy("one").count().collect()}
    counts = [told.get(i, 0) for i in range(len(classes))]
    least = min(range(len(classes)), key=lambda i: counts[i])
    return Fewest(rarest=(str(classes[least]), counts[least]))


@dataclass(frozen=True)
class FoldPlan:
    """How many folds, how often; 0 folds are the validation split.

    Attributes
    ----------
    folds, repeats
        Parts of the rows, and how often they are parted anew.
    why
        In words.
    """

    folds: int
    repeats: int
    why: str

    @classmethod
    def of(
        cls,
        plan: FeaturePlan,
        asked: int | None,
        train: int,
        validation: int,
        wide: bool = False,
        fewest: Fewest | None = None,
    ) -> FoldPlan:
        """Decide it by what was asked for, and else by the number of rows.

        Parameters
        ----------
        train, validation
            Rows that trials see.
        wide
            They are trained on by the session, which measures by the validation rows.
        fewest
            See `fewest_of`; nothing is bounded where None.

        Raises
        ------
        ConfigError
            Folds were asked for and do not go with the split or so many values, are more than there are rows or queries, or
            one would have to be trained on without a class.
        """
        fewest = fewest or Fewest()
        rows, by = train + validation, plan.split.by
        holdout = f"{validation:,} validation rows"
        # A ranking is split by its queries where nothing else is said, and folds keep these whole.
        by_query = plan.task == "ranking" and by == "group" and plan.split.column == plan.group
        mixes = by in ("random", "stratified") or by_query
        if asked is not None and asked > 1:
            if not mixes:
                raise ConfigError(
                    f"sweep.folds does not go with split.by {by!r}: rows of one {'group' if by == 'group' else 'time'} would be trained on and held out. Leave sweep.folds out; trials are then measured on the validation rows."
                )
            if wide:
                raise ConfigError(
                    f"sweep.folds is {asked}, and {rows:,} rows of {len(plan.feature_names):,} features are too many values for folds. Lower sweep.rows, or leave sweep.folds out; trials are then measured on the validation rows."
                )
            if asked > rows:
                raise ConfigError(f"sweep.folds is {asked} and there are {rows} rows; choose fewer.")
            if fewest.queries is not None and asked > fewest.queries:
                raise ConfigError(
                    f"sweep.folds is {asked} and there are {fewest.queries} queries in the training and validation rows; choose fewer."
                )
            if fewest.rarest is not None and fewest.rarest[1] == 1:
                raise ConfigError(
                    f"sweep.folds is {asked}, and class {fewest.rarest[0]!r} has one row among the training and validation rows: the fold that holds it out would train without the class. Leave sweep.folds out, bring more rows of the class, or leave it out of the table."
                )
            return cls(asked, 1, f"{asked} folds of {rows:,} training and validation rows")
        if asked is None and fewest.rarest is not None and fewest.rarest[1] == 1:
            return cls(
                0,
                1,
                f"{holdout}, and not on folds: class {fewest.rarest[0]!r} has one row besides those to test on",
            )
        many = rows if fewest.queries is None else fewest.queries
        if asked is None and not wide and rows < FOLDS_BELOW and mixes and many >= 2 * FOLDS:
            repeats = 2 if rows < TWICE_BELOW else 1
            often = "twice " if repeats == 2 else ""
            return cls(FOLDS, repeats, f"{FOLDS} folds, {often}of {rows:,} training and validation rows")
        return cls(0, 1, holdout)

    @property
    def parts(self) -> int:
        """How many trainings a trial takes."""
        return self.folds * self.repeats or 1

    def cut(self, rows: Rows, stratified: bool) -> list[Fold]:
        """Return the folds of rows that are in an order of their content (see `read_rows`); queries stay whole.

        Raises
        ------
        ConfigError
            There are more folds than queries.
        """
        n, found = len(rows), []
        for repeat in range(self.repeats):
            random = np.random.default_rng([repeat, n])
            if rows.group is not None:
                queries = int(rows.group.max()) + 1
                if queries < self.folds:
                    raise ConfigError(
                        f"sweep.folds is {self.folds} and there are {queries} queries; choose fewer."
                    )
                part = (random.permutation(queries) % self.folds)[rows.group]
            else:
                shuffled = random.permutation(n)
                if stratified:
                    shuffled = shuffled[np.argsort(rows.y[shuffled], kind="stable")]
                part = np.empty(n, np.int64)
                part[shuffled] = np.arange(n) % self.folds
            found += [(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(self.folds)]
        return found
