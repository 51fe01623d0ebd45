"""What a learner family and its trained models are to everything above: the one protocol that a new family fills in."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError, did_you_mean
from synml_dagster.learners.form import Form
from synml_dagster.learners.link import Link
from synml_dagster.learners.raw_scores import RawScores, scorer_of
from synml_dagster.learners.registry import learner_module
from synml_dagster.learners.space import ParameterRange, Value
from synml_dagster.learners.transform import transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.features import FeatureChoices, FeaturePlan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows

ABOUT = "model.json"
_FORMAT = 1


@dataclass
class TrainedModel(ABC):
    """A model that a learner has trained. Opening a saved one runs no code: it is text and JSON.

    Attributes
    ----------
    learner
        Name of its family.
    text_file
        The file beside `model.json` that `text` is saved in.
    text : str
        The model itself, in its family's own format.
    features, categorical : list of str
        Columns in the order of the text, and those of them that name categories.
    objective : str
        What was optimised.
    history : dict
        data -> metric -> one value a round.
    best_iteration : int, optional
        The rounds kept by early stopping.
    params : dict
        What the library was given.
    facts : dict
        Seconds, rows, and whatever else is worth knowing of the training.
    label_offset : float
        What labels had been taken off in training and predictions have added.
    """

    learner: ClassVar[str]
    text_file: ClassVar[str]

    text: str
    features: list[str]
    categorical: list[str] = field(default_factory=list)
    objective: str = ""
    history: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    best_iteration: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    label_offset: float = 0.0

    @property
    @abstractmethod
    def form(self) -> Form:
        """The model in its neutral form."""

    @property
    @abstractmethod
    def iterations(self) -> int:
        """How many rounds the model holds; 1 where the family has none."""

    @property
    def label_gain(self) -> list[float] | None:
        """The gains of a ranking's grades that it was trained with, None where they are the usual ones."""
        return None

    @abstractmethod
    def importance(self) -> dict[str, float]:
        """Return each feature's importance by the family's own measure, greatest first."""

    def predict(self, X: NDArray[np.float32], *, raw_score: bool = False) -> NDArray[np.float64]:
        """Return the prediction for each row of `X`, float32 `[n, features]`, by the model's form.

        The probability of the second class of two, `[n, classes]` for more, the value otherwise; raw scores on request.

        Raises
        ------
        ModelError
            `X` has another number of columns.
        """
        if X.ndim != 2 or X.shape[1] != len(self.features):
            raise ModelError(f"the model takes [n, {len(self.features)}] values and got {list(X.shape)}.")
        scorer: RawScores | None = self.__dict__.get("_scorer")
        if scorer is None:
            scorer = self.__dict__["_scorer"] = scorer_of(self.form)
        found = scorer.raw_scores(np.asarray(X, dtype=np.float32))
        if not raw_score:
            found = (self.form.link or Link()).apply(found) + self.label_offset
        return found[:, 0] if found.shape[1] == 1 else found

    def transform(
        self,
        data: DataFrame | ParquetFiles,
        *,
        outputs: Sequence[str] = ("prediction", "probability"),
        keep: Sequence[str] | None = None,
        spark: SparkSession | None = None,
    ) -> DataFrame:
        """Score a table that holds the features, on Spark, by the model's form; see `synml_dagster.learners.transform`."""
        return transform(self, data, outputs=outputs, keep=keep, spark=spark)

    def validation_score(self, metric: str | None = None) -> tuple[str, float]:
        """Return a metric, the one that decided where None, and its value on the validation rows at the model's last round."""
        metrics = self.history["validation"]
        name = metric if metric in metrics else next(iter(metrics))
        return name, metrics[name][(self.best_iteration or len(metrics[name])) - 1]

    def save(self, directory: str | Path) -> None:
        """Write the text and `model.json` into `directory`."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.text_file).write_text(self.text, encoding="utf-8")
        rest = {k: v for k, v in self.__dict__.items() if k != "text" and not k.startswith("_")}
        raw = {"format": _FORMAT, "learner": self.learner, **_plain(rest)}
        (folder / ABOUT).write_text(
            json.dumps(raw, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
        )

    @classmethod
    def load(cls, directory: str | Path) -> TrainedModel:
        """Read what `save` wrote, whichever family wrote it; a family's own class reads its own models alone.

        Raises
        ------
        ModelError
            A file is missing or damaged, or was written by a newer version or by another family.
        """
        folder = Path(directory)
        try:
            raw = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            name = raw.pop("learner", "lightgbm")  # the first family wrote none
            try:
                family = learner_of(str(name)).model
            except ConfigError as problem:
                raise ModelError(f"the model in {str(folder)!r} is of another family: {problem}") from problem
            if not issubclass(family, cls):
                raise ModelError(
                    f"the model in {str(folder)!r} is of the family {name!r}, not a {cls.__name__}."
                )
            text = (folder / family.text_file).read_text(encoding="utf-8")
        except FileNotFoundError as problem:
            raise ModelError(
                f"there is no model in {str(folder)!r}: {Path(problem.filename).name} is missing."
            ) from problem
        except (json.JSONDecodeError, UnicodeDecodeError) as problem:
            raise ModelError(f"the model in {str(folder)!r} is damaged: {problem}") from problem
        if raw.pop("format", None) != _FORMAT:
            raise ModelError(
                f"the model in {str(folder)!r} has another format than {_FORMAT}; update synml_dagster."
            )
        try:
            raw["history"] = {
                data: {m: [math.nan if v is None else v for v in values] for m, values in metrics.items()}
                for data, metrics in raw["history"].items()
            }
            return family(text=text, **raw)
        except (TypeError, KeyError, AttributeError) as problem:
            raise ModelError(f"the model in {str(folder)!r} is damaged: {problem}") from problem


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


def _plain(value: Any) -> Any:
    """JSON has no NaN and no NumPy."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
