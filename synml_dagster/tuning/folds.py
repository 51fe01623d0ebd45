"""On which rows trials are measured: folds of a small table, the validation split of a large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError
from synml_dagster.features import GROUP, LABEL, PLACE, WEIGHT
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

_MOST_PLACED = 2_000_000

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the rows to train on and of those held out."""


@dataclass(frozen=True)
class Placed:
    """Rows by where they stand: what folds by time or by group are cut from.

    Attributes
    ----------
    place
        [n] a time, NaN where a row has none, or a group as a number.
    label
        [n]
    classes
        None for a regression.
    weight
        [n] None where all count alike; nothing is learned of rows of weight 0 or measured by them.
    """

    place: NDArray[np.float64]
    label: NDArray[np.float64]
    classes: list[str] | None
    weight: NDArray[np.float64] | None = None

    @property
    def parts(self) -> int:
        """How many times or groups there are."""
        return len(np.unique(self.place))


@dataclass(frozen=True)
class Fewest:
    """What bounds the number of folds, besides the rows.

    Attributes
    ----------
    queries
        How many a ranking has; None for any other task.
    rarest
        The class with the fewest rows, and how many these are; None where no class is rare.
    placed
        The rows of a split by time or by group; None for any other, and where the features table is of an earlier version.
    """

    queries: int | None = None
    rarest: tuple[str, int] | None = None
    placed: Placed | None = None


def fewest_of(
    spark: SparkSession, plan: FeaturePlan, *files: ParquetFiles, asked: int | None = None
) -> Fewest:
    """Count the queries of a ranking, or the rows of its rarest class where the table has a rare one.

    Where rows stand is read where folds may be cut by it: they are `asked` for, or the table is small.
    """
    from pyspark.sql import functions as sf

    classes, known = plan.label.classes or [], plan.label.class_rows or []
    ranked = plan.task == "ranking" and plan.group is not None
    placed = _placed(spark, plan, asked, *files)
    rare = bool(classes) and len(known) == len(classes) and min(known) < _RARE
    if not ranked and not rare:
        return Fewest(placed=placed)
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
    return Fewest(rarest=(str(classes[least]), counts[least]), placed=placed)


def _placed(spark: SparkSession, plan: FeaturePlan, asked: int | None, *files: ParquetFiles) -> Placed | None:
    if not plan.keeps_place or any(PLACE not in one.schema().names for one in files):
        return None
    most = FOLDS_BELOW - 1 if asked is None else _MOST_PLACED if asked > 1 else 0
    if sum(one.count() for one in files) > most:
        return None
    names = [PLACE, LABEL, *([WEIGHT] if WEIGHT in files[0].schema().names else [])]
    tables = [one.dataframe(spark).select(*names).toArrow() for one in files]
    place, label, *weight = (
        np.concatenate([t.column(name).to_numpy().astype(np.float64) for t in tables]) for name in names
    )
    classes = list(map(str, plan.label.classes)) if plan.label.classes else None
    return Placed(place, label, classes, *weight)


@dataclass(frozen=True)
class FoldPlan:
    """How many folds, how often; 0 folds are the validation split.

    Attributes
    ----------
    folds, repeats
        Parts of the rows, and how often they are parted anew.
    why
        In words.
    by
        What they are cut by: rows (queries of a ranking stay whole), groups that stay whole, or times, where each part is
        held out by a model of the parts before it and the oldest by none.
    """

    folds: int
    repeats: int
    why: str
    by: Literal["rows", "group", "time"] = "rows"

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
            if not mixes and fewest.placed is None:
                raise ConfigError(
                    f"sweep.folds does not go with split.by {by!r} here: the features table does not say which rows are of one {'group' if by == 'group' else 'time'}{', or has too many' if plan.keeps_place else ''}. {'Make features anew, or leave' if plan.keeps_place else 'Leave'} sweep.folds out; trials are then measured on the validation rows."
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
            if not mixes:
                found = cls._by_place(asked, 1, rows, by, fewest)
                if isinstance(found, str):
                    raise ConfigError(
                        f"sweep.folds is {asked}, and {found}. Choose fewer, or leave sweep.folds out."
                    )
                return found
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
        if asked is None and not wide and rows < FOLDS_BELOW and fewest.placed is not None:
            repeats = 2 if rows < TWICE_BELOW and by == "group" else 1
            found = cls._by_place(FOLDS, repeats, rows, by, fewest)
            return cls(0, 1, f"{holdout}, and not on folds: {found}") if isinstance(found, str) else found
        return cls(0, 1, holdout)

    @classmethod
    def _by_place(cls, folds: int, repeats: int, rows: int, by: str, fewest: Fewest) -> FoldPlan | str:
        """Return folds by time or by group, or why there are none."""
        placed = fewest.placed
        assert placed is not None
        needed, what = (folds + 1, "times") if by == "time" else (folds, "groups")
        if placed.parts < needed:
            return f"there are {placed.parts} {what} among the training and validation rows, and {folds} folds take {needed}"
        how = f"by {what}, each held out {'by a model of those before it' if by == 'time' else 'as a whole'}"
        often = "twice " if repeats == 2 else ""
        made = cls(
            folds,
            repeats,
            f"{folds} folds {how}, {often}of {rows:,} training and validation rows",
            "time" if by == "time" else "group",
        )
        cuts = made._cuts(placed.place)
        if any(not len(a) or not len(b) for a, b in cuts):
            return f"so many rows are of one of the {what} that a fold would be empty"
        counts = np.ones(len(placed.place), bool) if placed.weight is None else placed.weight > 0
        if any(not counts[a].any() or not counts[b].any() for a, b in cuts):
            return (
                f"a fold by {what} would have weight 0 in all rows to train on, or in all that are held out"
            )
        for i, name in enumerate(placed.classes or ()):
            if any(not (placed.label[a][counts[a]] == i).any() for a, _ in cuts):
                return f"a fold by {what} would be trained without class {name!r}"
        return made

    def _cuts(self, place: NDArray[np.float64]) -> list[Fold]:
        """Return the folds of rows by where they stand; those without a time count as the oldest."""
        places, which, counts = np.unique(
            np.nan_to_num(place, nan=-np.inf), return_inverse=True, return_counts=True
        )
        if self.by == "time":
            before = np.cumsum(counts) - counts
            part = (before * (self.folds + 1) // len(place))[which]
            return [(np.flatnonzero(part < i), np.flatnonzero(part == i)) for i in range(1, self.folds + 1)]
        found: list[Fold] = []
        for repeat in range(self.repeats):
            sizes, fold_of = np.zeros(self.folds), np.empty(len(places), np.int64)
            for one in np.random.default_rng([repeat, len(place)]).permutation(len(places)):
                fold_of[one] = np.argmin(sizes)
                sizes[fold_of[one]] += counts[one]
            part = fold_of[which]
            found += [(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(self.folds)]
        return found

    @property
    def parts(self) -> int:
        """How many trainings a trial takes."""
        return self.folds * self.repeats or 1

    @property
    def ratio(self) -> float | None:
        """Rows that are held out for each that is trained on, in the mean over the folds; None on the validation rows."""
        if not self.folds:
            return None
        if self.by == "time":  # one part after one, after two ...
            return sum(1 / before for before in range(1, self.folds + 1)) / self.folds
        return 1 / (self.folds - 1)

    def cut(self, rows: Rows, stratified: bool) -> list[Fold]:
        """Return the folds of rows that are in an order of their content (see `read_rows`); queries stay whole.

        Raises
        ------
        ConfigError
            There are more folds than queries.
        """
        if self.by != "rows":
            assert rows.place is not None
            return self._cuts(rows.place)
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
