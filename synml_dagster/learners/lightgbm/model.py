"""A trained model: LightGBM's own text, and beside it what the text does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.learners.lightgbm.metrics import label_gains
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    import lightgbm as lgb
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.trees import TreeEnsemble


@dataclass
class LightGBMModel(TrainedModel):
    """A model that `LightGBM.fit` made. Opening a saved one runs no code: it is text and JSON.

    Attributes
    ----------
    text : str
        LightGBM's own format. Its features are called as the columns are, with `_` for blanks and what else LightGBM takes in no name.
    features, categorical : list of str
        Columns in the order of the text, and those of them that name categories.
    vector : str, optional
        The one column that holds all features, where they were given so.
    objective : str
        LightGBM's objective, or "custom".
    num_class : int
        1 unless multiclass.
    classes : list of str, optional
        The label's values where it was text or boolean, in the order of their numbers.
    label_type : str
        Spark's name of the label's type.
    history : dict
        data -> metric -> one value a round.
    best_iteration : int, optional
        The rounds kept by early stopping; the text holds these and no more.
    params : dict
        What LightGBM was given.
    facts : dict
        Seconds of each stage, threads, rows.
    label_offset : float
        What LightGBM's labels had been taken off and predictions have added; raw scores are without it.
    """

    learner: ClassVar[str] = "lightgbm"
    text_file: ClassVar[str] = "booster.txt"

    objective: str = "regression"
    num_class: int = 1
    classes: list[str] | None = None
    label_type: str = "double"
    vector: str | None = None

    def __repr__(self) -> str:
        """Say what it is in one line, without its text of megabytes."""
        trees = self.text.count("\nTree=")
        return f"LightGBMModel({self.objective}, {len(self.features)} features, {trees} trees)"

    @property
    def booster(self) -> lgb.Booster:
        """LightGBM's own model, read from the text once."""
        known = self.__dict__.get("_booster")
        if known is None:
            import lightgbm as lgb

            try:
                known = lgb.Booster(model_str=self.text)
            except lgb.basic.LightGBMError as problem:
                raise ModelError(
                    f"the model text cannot be read by LightGBM {lgb.__version__}: {problem}"
                ) from problem
            self.__dict__["_booster"] = known
        return known

    @property
    def form(self) -> TreeEnsemble:
        """The trees as arrays."""
        return parse_trees(self.text)

    @property
    def label_gain(self) -> list[float] | None:
        """What `label_gain` said."""
        return label_gains(self.params)

    @property
    def iterations(self) -> int:
        """How many boosting rounds the model holds."""
        return int(self.booster.current_iteration())

    def feature_importance(self, kind: str = "gain") -> dict[str, float]:
        """Return each feature's importance, greatest first: total "gain" of its splits, or number of "split"s."""
        if kind not in ("gain", "split"):
            raise ConfigError(f"feature importance is 'gain' or 'split' but got {kind!r}.")
        values = self.booster.feature_importance(importance_type=kind)
        pairs = sorted(zip(self.features, values, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}

    def importance(self) -> dict[str, float]:
        """Return each feature's gain over all splits, greatest first."""
        return self.feature_importance("gain")

    def predict(
        self, X: NDArray[np.float32], *, raw_score: bool = False, threads: int = 0
    ) -> NDArray[np.float64]:
        """Return LightGBM's prediction for each row of `X`, float32 of shape [n, features], or SciPy's CSR matrix of it.

        The probability of the second class for binary, [n, classes] for multiclass, the value otherwise; raw scores on
        request.
        """
        if X.ndim != 2 or X.shape[1] != len(self.features):
            raise ModelError(f"the model takes [n, {len(self.features)}] values and got {list(X.shape)}.")
        found = np.asarray(self.booster.predict(X, raw_score=raw_score, num_threads=threads))
        return found + self.label_offset if self.label_offset and not raw_score else found

    def transform(
        self,
        data: DataFrame | ParquetFiles,
        *,
        outputs: Sequence[str] = ("prediction", "probability"),
        keep: Sequence[str] | None = None,
        spark: SparkSession | None = None,
    ) -> DataFrame:
        """Score `data` on Spark; see `synml_dagster.learners.lightgbm.transform.transform`."""
        from synml_dagster.learners.lightgbm.transform import transform

        return transform(self, data, outputs=outputs, keep=keep, spark=spark)


def averages(text: str) -> bool:
    """Return whether the model of LightGBM's text averages its trees, as a forest does, and does not sum them."""
    return "\naverage_output\n" in text[: max(0, text.find("\nTree="))]
