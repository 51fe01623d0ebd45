"""Fitted stages: they add predictions, and for classes vectors of probabilities and raw scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.ml.functions import array_to_vector
from pyspark.ml.util import MLReadable, MLWritable, MLWriter
from pyspark.sql import functions as sf

from synml_dagster.errors import ConfigError
from synml_dagster.ml.params import ClassColumnParams, ColumnParams
from synml_dagster.ml.persistence import ModelReader, ModelWriter

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.learners.lightgbm import LightGBMModel


class _Fitted(Model, ColumnParams, MLWritable, MLReadable[Any]):
    """What the fitted stages share.

    Attributes
    ----------
    model : LightGBMModel
        The model itself, with all that it can do.
    """

    def __init__(self, model: LightGBMModel | None = None) -> None:
        super().__init__()
        self.model: Any = model

    def write(self) -> MLWriter:
        """Return what saves it."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> ModelReader[Any]:
        """Return what loads one."""
        return ModelReader(cls, cls.__name__)

    def _scored(self, dataset: DataFrame, outputs: dict[str, Column]) -> DataFrame:
        """Return the dataset with columns made of the model's own outputs, which come under names nobody has."""
        taken = [name for name in outputs if name in dataset.columns]
        if taken:
            raise ConfigError(
                f"the table already has a column {taken[0]!r}. Drop it, or set another name for what is written."
            )
        scored = self.model.transform(dataset, outputs=self._asked())
        kept = [sf.col(f"`{name}`") for name in dataset.columns]
        return scored.select(*kept, *(column.alias(name) for name, column in outputs.items()))

    def _asked(self) -> list[str]:
        return ["prediction"]


class LightGBMRegressionModel(_Fitted):
    """A fitted regression: `prediction`."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._scored(dataset, {self.getPredictionCol(): sf.col("prediction").cast("double")})


class LightGBMRankerModel(LightGBMRegressionModel):
    """A fitted ranking: `prediction` is the score, the greater the higher up within its group."""


class LightGBMClassificationModel(_Fitted, ClassColumnParams):
    """A fitted classifier: `prediction`, and vectors `probability` and `rawPrediction`."""

    @property
    def numClasses(self) -> int:
        """How many classes there are."""
        return max(2, int(self.model.num_class))

    def _asked(self) -> list[str]:
        return ["probability", "raw_score"]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        p, raw = sf.col("probability"), sf.col("raw_score")
        if self.numClasses == 2:
            p, raw = sf.array(1 - p, p), sf.array(-raw, raw)
        best = (sf.array_position(p, sf.array_max(p)) - 1).cast("double")
        outputs = {
            self.getRawPredictionCol(): array_to_vector(raw),
            self.getProbabilityCol(): array_to_vector(p),
            self.getPredictionCol(): best,
        }
        return self._scored(dataset, {name: column for name, column in outputs.items() if name})
