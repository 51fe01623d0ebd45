"""What a learner family is to everything above: the one protocol that a new family fills in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.learners.form import Form
from synml_dagster.learners.registry import learner_module
from synml_dagster.learners.space import ParameterRange, Value
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeatureChoices, FeaturePlan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows


class Settings(Protocol):
    """What a description says under `train`; see `TrainSpec`."""

    @property
    def params(self) -> dict[str, Any]:
        """The family's own parameters."""

    @property
    def rounds(self) -> int:
        """The most rounds."""

    @property
    def early_stopping(self) -> int:
        """Rounds without a better validation metric, 0 for never."""

    @property
    def ranks(self) -> int | None:
        """Tasks that train together."""

    @property
    def seed(self) -> int:
        """Of everything random."""

    @property
    def model_fields_set(self) -> set[str]:
        """The keys that the description says."""


class Learner(ABC):
    """A family of models: what it is called, what it takes, how it is searched and how it is trained.

    Attributes
    ----------
    name, title
        In descriptions, and in words for people.
    kinds
        What the asset of a model is tagged with in the UI.
    summary
        One sentence on the asset of a model.
    tasks
        Those that it can learn.
    scales
        Whether it trains on the whole table, however large. A family that does not is trained in one process, on a sample
        where the table is too large for it.
    in_session
        Whether its trainings are jobs of a Spark session. A sweep's trials of it run where the session is and not on an
        executor, and `sweep.learners: all` leaves it out.
    takes_weights
        Whether its rows may weigh different amounts in training.
    refits
        Whether it can be trained again on training and validation rows together, with nothing held out.
    searched_most
        Whether a sweep of several families gives the larger part of its search to it and others that say so: boosted trees
        that a trial trains in seconds.
    precedence
        Where it stands among the families of `sweep.learners: all`; those of small numbers are tried first.
    packages
        Distributions of other makers that train it: the report says which versions were there.
    no_such_keys
        Keys of `train` that say nothing to it, and why.
    round_name, importance_name
        What a step of its training is called, and what `TrainedModel.importance` measures.
    model
        The class of its trained models.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    summary: ClassVar[str]
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass", "regression", "ranking"})
    scales: ClassVar[bool] = False
    in_session: ClassVar[bool] = False
    takes_weights: ClassVar[bool] = True
    refits: ClassVar[bool] = True
    searched_most: ClassVar[bool] = False
    precedence: ClassVar[int] = 100
    packages: ClassVar[tuple[str, ...]] = ()
    no_such_keys: ClassVar[Mapping[str, str]] = MappingProxyType({})
    round_name: ClassVar[str] = "round"
    importance_name: ClassVar[str]
    model: ClassVar[type[TrainedModel]]

    def installed(self) -> bool:
        """Return whether the packages that the family stands on are there."""
        return True

    @abstractmethod
    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a description's parameters under the family's main names.

        Raises
        ------
        ConfigError, ValueError
            A parameter is unknown, out of its range, or said by another key.
        """

    def check_installed(self) -> None:  # noqa: B027 (most families need nothing)
        """Refuse to be chosen where a package of the family is missing.

        Raises
        ------
        SetupError
            It is; the message names the extra that brings it.
        """

    def check_metrics(self, task: str, params: Mapping[str, Any]) -> None:  # noqa: B027 (most families have one metric)
        """Refuse metrics in a description's parameters that are unknown, or another task's.

        Raises
        ------
        ConfigError
            One is.
        """

    def check_session(self, spark: SparkSession) -> None:  # noqa: B027 (most families train on any)
        """Refuse a session that cannot train the family.

        Raises
        ------
        SetupError
            It cannot; the message says what to set.
        """

    def check(self, spec: Settings) -> None:
        """Refuse keys of `train` that say nothing to this family, and the family where its package is missing.

        Raises
        ------
        ValueError
            The description says one of `no_such_keys`.
        SetupError
            See `check_installed`.
        """
        self.check_installed()
        for key, why in self.no_such_keys.items():
            if key in spec.model_fields_set:
                raise ValueError(f"{key} does not go with learner {self.name}: {why}")

    @abstractmethod
    def space(self) -> Mapping[str, ParameterRange]:
        """Return what a sweep searches where the description does not say."""

    def checked_space(self, space: Mapping[str, ParameterRange]) -> dict[str, ParameterRange]:
        """Return ranges of a description under the family's main names.

        Raises
        ------
        ConfigError
            The family has no such parameter, or it cannot be searched.
        """
        known = self.space()
        for name in space:
            if name not in known:
                raise ConfigError(
                    f"sweep.space: learner {self.name} searches no {name!r}; it searches {', '.join(known)}.{did_you_mean(name, known)}"
                )
        return dict(space)

    @abstractmethod
    def start(self) -> Mapping[str, Value]:
        """Return the first trial: the family's own defaults, so that no sweep ends below them."""

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return named sets of parameters that are worth a trial before any search, the most promising first.

        Each holds parameters over the family's defaults, under its main names; one that `space()` searches has a value that
        the sweep could choose. The defaults themselves are `start()` and not among them. The names are stable: a sweep
        shows them.

        Parameters
        ----------
        task
            One of `tasks`.
        """
        return {}

    def feature_choices(self) -> FeatureChoices:
        """Return what about features is worth a search for this family, where the description says `sweep.features: auto`."""
        from synml_dagster.features import FeatureChoices

        return FeatureChoices(encoding=["target"], text_width=[256])

    @abstractmethod
    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Return the metric that a sweep searches by, and whether more of it is better."""

    @abstractmethod
    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the library is given: the task's, then what a sweep chose, then what the description says.

        Raises
        ------
        ConfigError
            Some of it does not go with the plan.
        """

    def warnings(self, plan: FeaturePlan, spec: Settings) -> list[str]:
        """Return what the family cannot do well with this plan."""
        return []

    def fit(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        spec: Settings,
        chosen: Mapping[str, Any],
        rows: ParquetFiles,
        validation: ParquetFiles,
        *,
        on_progress: Callable[[Any], None] | None = None,
        checkpoint: str | None = None,
    ) -> TrainedModel:
        """Train on `rows`, measured on `validation`; both are files of a features table.

        A family that does not say otherwise is trained in this process, by `fit_rows`, on as many rows as fit.
        """
        from synml_dagster.learners.one_process.rows import read_rows

        features, most = plan.feature_names, self.most_rows(plan, self.params(plan, spec, chosen))
        train, held = (read_rows(spark, files, features, most_rows=most) for files in (rows, validation))
        cores = os.cpu_count() or 1
        return self.fit_rows(plan, spec, chosen, train, held, threads=cores, on_progress=on_progress)

    def most_rows(self, plan: FeaturePlan, params: Mapping[str, Any]) -> int | None:
        """Return the most rows that `fit` takes into its process, None for as many as memory is meant for."""
        return None

    @abstractmethod
    def fit_rows(
        self,
        plan: FeaturePlan,
        spec: Settings,
        chosen: Mapping[str, Any],
        train: Rows,
        validation: Rows,
        *,
        threads: int = 1,
        on_progress: Callable[[Any], None] | None = None,
        judge: Judge | None = None,
    ) -> TrainedModel:
        """Train in this process on rows in memory, measured on `validation`. A sweep's trials do this on executors.

        A family that is `in_session` trains by the session that is open in this process.

        Parameters
        ----------
        threads
            How many of them the library may use.
        judge
            Asked after each round, by a family that has rounds; where it says stop, `StoppedError` is raised.
        train, validation
            Stay as they are: other trainings take them, too.
        """

    @abstractmethod
    def form(self, text: str) -> Form:
        """Return the neutral form of a model's text. Runs on executors."""

    def check_task(self, task: str) -> None:
        """Refuse a task that the family cannot learn.

        Raises
        ------
        ConfigError
            It is none of `tasks`.
        """
        if task not in self.tasks:
            raise ConfigError(
                f"train.learner: {self.name} does not learn task {task}, but {', '.join(sorted(self.tasks))}; lightgbm learns all four."
            )


def learner_of(name: str) -> Learner:
    """Return a family by its name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    found: Learner = learner_module(name).LEARNER
    return found
