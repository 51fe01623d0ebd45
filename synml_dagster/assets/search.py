"""What a sweep searches and by what, as the description, the plan and the rows decide it, and who runs its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.assets.artifacts import check_classes, check_queries, check_weights, side
from synml_dagster.assets.groups import reweighing_of
from synml_dagster.features import FeaturePlan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.tables import Table
from synml_dagster.tuning import Candidate, SweepSpec
from synml_dagster.tuning.choice import families_of, family_names, train_spec
from synml_dagster.tuning.folds import FoldPlan, fewest_of
from synml_dagster.tuning.ledger import check_database
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import (
    MOST_VALUES,
    SessionTrials,
    TrialJobs,
    slots_for_trials,
    threads_of_a_trial,
    trial_data,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.tuning import Family


@dataclass(frozen=True)
class Search:
    """One sweep over one features table.

    Attributes
    ----------
    specs
        `train` of each family, that of the description first.
    measure
        What compares trials of all families.
    own_metric
        The metric that the description names for its one learner, in place of the measure, and whether more of it is better.
    """

    plan: FeaturePlan
    features: Table
    spec: SweepSpec
    train: TrainSpec
    specs: Mapping[str, TrainSpec]
    measure: Measure
    own_metric: tuple[str, bool] | None

    @classmethod
    def of(cls, plan: FeaturePlan, features: Table, spec: SweepSpec, train: TrainSpec) -> Search:
        """Return the search that the description asks for."""
        several = spec.learners == "all" or (spec.learners is not None and spec.learners != [train.learner])
        named = bool(train.params.get("metric")) and not several
        return cls(
            plan,
            features,
            spec,
            train,
            specs={name: train_spec(name, train) for name in family_names(spec, train, plan.task)},
            measure=Measure.of(plan.task, plan.linear_gain),
            own_metric=learner_of(train.learner).metric(plan, train) if named else None,
        )

    @property
    def metric(self) -> tuple[str, bool]:
        """The metric that decides, and whether more of it is better."""
        return self.own_metric or (self.measure.metric, self.measure.maximize)

    def check(self, spark: SparkSession, *, training: bool) -> None:
        """Refuse what does not go together before anything is trained; where trials are `training`, also what they stand on.

        Raises
        ------
        ConfigError, DataError, SetupError
            Parameters and task, a learner and the session, or a database that cannot be used.
        """
        for name, spec in self.specs.items():
            learner_of(name).params(self.plan, spec, {})
            if training:
                learner_of(name).check_session(spark)
        if training and self.spec.storage is not None:
            check_database(self.spec.storage)

    def check_rows(self, spark: SparkSession) -> list[str]:
        """Refuse rows that nothing can be learnt from, and return what is to be said of the others.

        Raises
        ------
        DataError
            Weights, queries or classes of the rows do not suit.
        """
        check_weights(spark, self.plan, self.features)
        check_queries(spark, self.plan, self.features)
        return check_classes(spark, self.plan, self.features)

    def families(self, known: tuple[str, Candidate] | None, warn: Callable[[str], None]) -> list[Family]:
        """Return what is tried and searched; `known` is what the champion was trained with."""
        return families_of(
            list(self.specs), self.spec, self.train, self.plan.task, known, self._offered(warn)
        )

    def folds(self, spark: SparkSession, rows: ParquetFiles, validation: ParquetFiles) -> FoldPlan:
        """Return how trials are measured, by the number of rows."""
        fewest = fewest_of(spark, self.plan, rows, validation, asked=self.spec.folds)
        wide = self._is_wide(rows, validation)
        return FoldPlan.of(self.plan, self.spec.folds, rows.count(), validation.count(), wide, fewest)

    def key(self, folds: FoldPlan) -> dict[str, Any]:
        """Return what has to be the same for the trials of an earlier run to count."""
        first = next(iter(self.specs))
        key = {
            "plan": self.plan.chosen({}).identity,  # other choices keep the trials that still fit
            "params": {first: learner_of(first).params(self.plan, self.specs[first], {})},
            "train": self.train.model_dump(exclude={"ranks", "refit"}),
            "rows": self.spec.rows,
            "folds": [folds.folds, folds.repeats],
            "pruning": self.spec.prunes and (self.spec.pruner == "median" or self.spec.pruner),
            "metric": self.metric[0],
        }
        if (weights := reweighing_of(self.features)) is not None:
            key["reweighing"] = weights.model_dump(mode="json", exclude={"notes"})
        aims = self.spec.aims
        if aims.against or aims.limits:  # a sampler keeps how far trials were over the limits of then
            key["aims"] = [list(aims.against), aims.limits]
        return key

    def runner(
        self,
        spark: SparkSession,
        rows: ParquetFiles,
        validation: ParquetFiles,
        folds: FoldPlan,
        answers: Path,
    ) -> tuple[TrialJobs | SessionTrials, int]:
        """Return what trains the trials, and how many of them at a time; their answers are kept in `answers`."""
        own = self.own_metric[0] if self.own_metric else None
        if self._is_wide(rows, validation):
            runs = SessionTrials(spark, self.plan, rows, validation, self.specs, self.measure, own, answers)
            return runs, 1
        # A session that trains a trial by itself takes all executors for it.
        here = all(learner_of(name).in_session for name in self.specs)
        parallel = 1 if here else self.spec.parallel or slots_for_trials(spark)
        data, frame = trial_data(spark, self.plan, rows, validation, folds, self.measure, own)
        threads = threads_of_a_trial(spark, parallel)
        pruner = self.spec.pruner if self.spec.prunes else None
        return TrialJobs(spark, data, frame, self.specs, answers, threads, pruner), parallel

    def _is_wide(self, rows: ParquetFiles, validation: ParquetFiles) -> bool:
        """Whether the values are too many for a task."""
        return (rows.count() + validation.count()) * len(self.plan.feature_names) > MOST_VALUES

    def _offered(self, warn: Callable[[str], None]) -> FeaturePlan:
        """Return the plan with the ways to make features that trials choose from: none where they would not fit into a task."""
        plan = self.plan
        rows = sum(
            min(side(self.features, split).count(), self.spec.rows) for split in ("train", "validation")
        )
        if not plan.alternatives or rows * plan.most_features <= MOST_VALUES:
            return plan
        warn(
            f"sweep.features: {rows:,} rows of up to {plan.most_features:,} features are too many values for a task, so features are made as described in all trials. Lower sweep.rows to search them."
        )
        return plan.chosen({})
