"""The parameters that the stages share, as pyspark.ml's own `Param`s."""

from __future__ import annotations

from typing import Any, TypeVar

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasSeed,
    HasValidationIndicatorCol,
    HasWeightCol,
)

Own = TypeVar("Own", bound="TrainingParams")
Shown = TypeVar("Shown", bound="ColumnParams")
Classified = TypeVar("Classified", bound="ClassColumnParams")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"params is a dict of LightGBM's parameters but got {value!r}")
    return value


class ColumnParams(HasFeaturesCol, HasPredictionCol):
    """Where a stage reads and writes."""

    def setFeaturesCol(self: Shown, value: str) -> Shown:
        """Set the column of vectors (or arrays) to read."""
        return self._set(featuresCol=value)

    def setPredictionCol(self: Shown, value: str) -> Shown:
        """Set the column to write predictions to."""
        return self._set(predictionCol=value)


class ClassColumnParams(ColumnParams, HasProbabilityCol, HasRawPredictionCol):
    """The same of a classifier: vectors of probabilities and of raw scores besides."""

    def setProbabilityCol(self: Classified, value: str) -> Classified:
        """Set the column to write vectors of probabilities to; empty writes none."""
        return self._set(probabilityCol=value)

    def setRawPredictionCol(self: Classified, value: str) -> Classified:
        """Set the column to write vectors of raw scores to; empty writes none."""
        return self._set(rawPredictionCol=value)


class TrainingParams(ColumnParams, HasLabelCol, HasWeightCol, HasValidationIndicatorCol, HasSeed):
    """How a stage is trained."""

    lightgbm: Param[dict[str, Any]] = Param(
        Params._dummy(),
        "lightgbm",
        "LightGBM's own parameters, by name or alias.",
        typeConverter=_mapping,
    )
    numRounds: Param[int] = Param(
        Params._dummy(), "numRounds", "Boosting rounds at most.", typeConverter=TypeConverters.toInt
    )
    earlyStoppingRounds: Param[int] = Param(
        Params._dummy(),
        "earlyStoppingRounds",
        "Stop after so many rounds without a better validation metric; 0 never stops. Needs validationIndicatorCol.",
        typeConverter=TypeConverters.toInt,
    )
    ranks: Param[int] = Param(
        Params._dummy(),
        "ranks",
        "Tasks that train together; 0 is one an executor.",
        typeConverter=TypeConverters.toInt,
    )

    def setLightgbm(self: Own, value: dict[str, Any]) -> Own:
        """Set LightGBM's own parameters, by name or alias."""
        return self._set(lightgbm=value)

    def setLabelCol(self: Own, value: str) -> Own:
        """Set the column of labels."""
        return self._set(labelCol=value)

    def setWeightCol(self: Own, value: str) -> Own:
        """Set the column of weights."""
        return self._set(weightCol=value)

    def setValidationIndicatorCol(self: Own, value: str) -> Own:
        """Set the boolean column that marks rows to stop early by."""
        return self._set(validationIndicatorCol=value)

    def setSeed(self: Own, value: int) -> Own:
        """Set the seed of everything random."""
        return self._set(seed=value)

    def setNumRounds(self: Own, value: int) -> Own:
        """Set the most boosting rounds."""
        return self._set(numRounds=value)

    def setEarlyStoppingRounds(self: Own, value: int) -> Own:
        """Set the rounds without a better validation metric after which training stops."""
        return self._set(earlyStoppingRounds=value)

    def setRanks(self: Own, value: int) -> Own:
        """Set how many tasks train together."""
        return self._set(ranks=value)

    def _defaults(self) -> None:
        self._setDefault(lightgbm={}, numRounds=100, earlyStoppingRounds=0, ranks=0, seed=0)
