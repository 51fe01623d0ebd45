"""A family of pyspark.ml: trained by jobs of the session on all rows, whatever their number."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.learners.one_process.family import TableLearner
from synml_dagster.learners.one_process.losses import METRIC, loss
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.spark_ml.rows import TrainingRows

_RANKS = "Spark's own scheduler says how many tasks its jobs have"


class SparkLearner(TableLearner):
    """A family of pyspark.ml."""

    kinds: ClassVar[frozenset[str]] = frozenset({"spark"})
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass", "regression"})
    scales: ClassVar[bool] = True
    in_session: ClassVar[bool] = True
    said_elsewhere: ClassVar[Mapping[str, str]] = {
        "seed": "is said by train.seed, not by train.params",
        **dict.fromkeys(
            (
                "featuresCol",
                "labelCol",
                "weightCol",
                "predictionCol",
                "probabilityCol",
                "rawPredictionCol",
                "leafCol",
            ),
            "cannot be set: the feature plan says which columns there are",
        ),
        **dict.fromkeys(
            ("thresholds", "threshold"),
            "cannot be set: evaluation finds the threshold, and predictions carry the probability",
        ),
    }

    def check_session(self, spark: SparkSession) -> None:
        """Refuse a Connect session whose server trains no models of pyspark.ml."""
        from synml_dagster.learners.spark_ml.session import check_session

        check_session(spark, self.name)

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
        """Train on all rows of the table, by jobs of `spark`.

        Parameters
        ----------
        checkpoint
            Trees are saved beside it for a moment; see `scratch`.
        """
        from synml_dagster.learners.one_process.rows import read_rows
        from synml_dagster.learners.spark_ml.rows import from_files

        def data() -> TrainingRows:
            return from_files(spark, rows, plan.feature_names, plan.categorical_features, plan.task)

        model = self._trained(spark, plan, spec, chosen, data, checkpoint)
        return self._measured(model, plan, read_rows(spark, validation, plan.feature_names))

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
        """Train on rows of this process, by jobs of the session that is open in it."""
        from synml_dagster.learners.spark_ml.rows import from_memory
        from synml_dagster.learners.spark_ml.session import open_session_of

        spark = open_session_of(self.name)

        def data() -> TrainingRows:
            return from_memory(spark, train, plan.feature_names, plan.categorical_features, plan.task)

        model = self._trained(spark, plan, spec, chosen, data, None)
        return self._measured(model, plan, validation)

    def _trained(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        spec: Settings,
        chosen: Mapping[str, Any],
        data: Callable[[], TrainingRows],
        place: str | None,
    ) -> TrainedModel:
        from synml_dagster.learners.spark_ml.session import clear_errors

        params = self.params(plan, spec, chosen)
        self.check_session(spark)
        began = time.monotonic()
        with clear_errors(self.name):
            rows = data()
            model = self.train(spark, plan, params, rows, seed=spec.seed, place=place)
        model.facts |= {
            "rows": rows.rows,
            "seconds": round(time.monotonic() - began, 3),
            "spark": str(spark.version),
        }
        return model

    def _measured(self, model: TrainedModel, plan: FeaturePlan, held: Rows) -> TrainedModel:
        value = loss(model.predict(held.X), held, plan.task)
        model.history = {"validation": {METRIC[plan.task]: [value]}}
        return model

    @abstractmethod
    def train(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        params: Mapping[str, Any],
        rows: TrainingRows,
        *,
        seed: int,
        place: str | None,
    ) -> TrainedModel:
        """Train on rows of the session.

        Parameters
        ----------
        place
            Where files may be left for a moment; see `scratch`.
        """


NO_SUCH = {
    "early_stopping": "pyspark.ml trains to the end",
    "ranks": _RANKS,
}
"""Keys of `train` that say nothing to any of these families."""
