"""Stages that train LightGBM across the ranks of a classic Spark session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.ml.models import (
    LightGBMClassificationModel,
    LightGBMRankerModel,
    LightGBMRegressionModel,
    _Fitted,
)
from synml_dagster.ml.params import ClassColumnParams, TrainingParams
from synml_dagster.spark import is_connect
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.learners.lightgbm import LightGBMModel

Ranker = TypeVar("Ranker", bound="LightGBMRanker")
_MOST_CLASSES = 1000


class _Trained(Estimator[Any], TrainingParams, DefaultParamsWritable, DefaultParamsReadable[Any]):
    """What the stages share."""

    _input_kwargs: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._defaults()

    def _train(
        self, dataset: DataFrame, objective: dict[str, Any], group: str | None = None
    ) -> LightGBMModel:
        from synml_dagster.learners.lightgbm import LightGBM

        if is_connect(dataset.sparkSession):
            raise ConfigError(
                "these stages stand in classic pipelines; on Spark Connect train with synml_dagster.learners.lightgbm.LightGBM, which takes the same columns."
            )
        validation = self.getValidationIndicatorCol() if self.isDefined(self.validationIndicatorCol) else None
        early = int(self.getOrDefault("earlyStoppingRounds"))
        if early and validation is None:
            raise ConfigError(
                "earlyStoppingRounds needs validationIndicatorCol: a boolean column that marks rows to stop by."
            )
        return LightGBM(
            {**objective, **self.getOrDefault("lightgbm")},
            rounds=int(self.getOrDefault("numRounds")),
            early_stopping=early or None,
            ranks=int(self.getOrDefault("ranks")) or None,
            seed=int(self.getSeed()),
        ).fit(
            dataset,
            label=self.getLabelCol(),
            features=self.getFeaturesCol(),
            weight=self.getWeightCol() if self.isDefined(self.weightCol) else None,
            group=group,
            validation=validation,
        )

    def _given(self, stage: _Fitted) -> Any:
        """Return the fitted stage with the columns of this one, and its parent."""
        return self._copyValues(stage)


class LightGBMRegressor(_Trained):
    """Regression by LightGBM, as a stage.

    Parameters
    ----------
    featuresCol, labelCol, predictionCol, weightCol, validationIndicatorCol : str
        Columns, as of pyspark.ml's own stages.
    lightgbm : dict
        LightGBM's own parameters, by name or alias; `objective` among them where it is not squared error.
    numRounds, earlyStoppingRounds, ranks, seed : int
        As of `synml_dagster.learners.lightgbm.LightGBM`.

    Examples
    --------
    >>> stage = LightGBMRegressor(labelCol="price", lightgbm={"num_leaves": 63})  # doctest: +SKIP
    >>> Pipeline(stages=[assembler, stage]).fit(table).transform(table)  # doctest: +SKIP
    """

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        validationIndicatorCol: str | None = None,
        lightgbm: dict[str, Any] | None = None,
        numRounds: int = 100,
        earlyStoppingRounds: int = 0,
        ranks: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> LightGBMRegressionModel:
        return self._given(LightGBMRegressionModel(self._train(dataset, {"objective": "regression"})))


class LightGBMRanker(_Trained):
    """Ranking by LightGBM, as a stage; labels are grades, whole numbers from 0.

    Parameters
    ----------
    groupCol : str
        Says which rows belong to one query.
    featuresCol, labelCol, predictionCol, weightCol, validationIndicatorCol, lightgbm, numRounds, earlyStoppingRounds, ranks, seed
        As of `LightGBMRegressor`.
    """

    groupCol: Param[str] = Param(
        Params._dummy(),
        "groupCol",
        "Says which rows belong to one query.",
        typeConverter=TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        groupCol: str | None = None,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        validationIndicatorCol: str | None = None,
        lightgbm: dict[str, Any] | None = None,
        numRounds: int = 100,
        earlyStoppingRounds: int = 0,
        ranks: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def setGroupCol(self: Ranker, value: str) -> Ranker:
        """Set the column of queries."""
        return self._set(groupCol=value)

    def _fit(self, dataset: DataFrame) -> LightGBMRankerModel:
        if not self.isDefined("groupCol"):
            raise ConfigError("a ranking needs groupCol: the column that rows of one query share.")
        model = self._train(dataset, {"objective": "lambdarank"}, group=self.getOrDefault("groupCol"))
        return self._given(LightGBMRankerModel(model))


class LightGBMClassifier(_Trained, ClassColumnParams):
    """Classification by LightGBM, as a stage; labels are whole numbers from 0, as `StringIndexer` makes them.

    Parameters
    ----------
    probabilityCol, rawPredictionCol : str
        Vectors to write; empty writes none.
    featuresCol, labelCol, predictionCol, weightCol, validationIndicatorCol, lightgbm, numRounds, earlyStoppingRounds, ranks, seed
        As of `LightGBMRegressor`.
    """

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
        weightCol: str | None = None,
        validationIndicatorCol: str | None = None,
        lightgbm: dict[str, Any] | None = None,
        numRounds: int = 100,
        earlyStoppingRounds: int = 0,
        ranks: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> LightGBMClassificationModel:
        classes = self._classes(dataset)
        objective: dict[str, Any] = {"objective": "binary"}
        if classes > 2:
            objective = {"objective": "multiclass", "num_class": classes}
        return self._given(LightGBMClassificationModel(self._train(dataset, objective)))

    def _classes(self, dataset: DataFrame) -> int:
        """Return one more than the greatest label.

        Raises
        ------
        DataError
            Labels are missing, negative, no whole numbers, or all one.
        """
        name = self.getLabelCol()
        if name not in dataset.columns:
            raise ConfigError(f"labelCol: the table has no column {name!r}.")
        label = sf.col(quoted(name)).cast("double")
        odd = label.isNull() | sf.isnan(label) | (label < 0) | (label != sf.floor(label))
        found = dataset.agg(
            sf.max(label).alias("most"),
            sf.min(label).alias("least"),
            sf.count_if(odd).alias("odd"),
        ).first()
        assert found is not None
        if found["most"] is None or found["odd"]:
            raise DataError(
                f"label {name!r} is missing, negative or no whole number in {found['odd']} rows. StringIndexer numbers classes from 0."
            )
        if found["most"] == found["least"]:
            raise DataError(
                f"label {name!r} is {found['most']:g} in all rows; there is nothing to tell apart."
            )
        if found["most"] >= _MOST_CLASSES:
            raise DataError(
                f"label {name!r} goes up to {found['most']:g}; up to {_MOST_CLASSES} classes are told apart."
            )
        return int(found["most"]) + 1
