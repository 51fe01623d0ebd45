"""What a trained model is to everything above, whichever family trained it: its text, its form, its answers, and how it is kept."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.learners.form import Form
from synml_dagster.learners.link import Link
from synml_dagster.learners.raw_scores import RawScores, scorer_of
from synml_dagster.learners.registry import learner_module
from synml_dagster.learners.transform import transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles

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
    def packages(self) -> tuple[str, ...]:
        """Distributions of other makers that its family is trained by."""
        found: tuple[str, ...] = learner_module(self.learner).LEARNER.packages
        return found

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

    def answers_held(self, answers: NDArray[np.float64]) -> None:
        """Keep what `predict` would return for the validation rows, where the training has it at its end."""
        self.__dict__["_held"] = answers

    def predict_held(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the prediction for each of the validation rows that the model was trained with, `X` in their order."""
        known: NDArray[np.float64] | None = self.__dict__.pop("_held", None)
        return self.predict(X) if known is None else known

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
                family: type[TrainedModel] = learner_module(str(name)).LEARNER.model
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
