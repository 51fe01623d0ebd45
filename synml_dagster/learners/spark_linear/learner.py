"""Linear and logistic regression of pyspark.ml as a learner family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.learners.linear.model import read_form, write_form
from synml_dagster.learners.link import Link
from synml_dagster.learners.one_process.parameters import Parameter, Parameters
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.spark_linear.model import SparkLinearModel
from synml_dagster.learners.spark_ml.family import NO_SUCH, SparkLearner
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.features import FeatureChoices, FeaturePlan
    from synml_dagster.learners.additive import AdditiveForm
    from synml_dagster.learners.space import Value
    from synml_dagster.learners.spark_ml.rows import TrainingRows

_OBJECTIVE = {"regression": "squared error", "binary": "logistic", "multiclass": "multinomial"}


class SparkLinearLearner(SparkLearner):
    """pyspark.ml's linear models on standardised features, with a term of its own for missing and for each category."""

    name: ClassVar[str] = "spark_linear"
    title: ClassVar[str] = "A linear model of Spark"
    summary: ClassVar[str] = (
        "A linear or logistic regression of pyspark.ml, fitted across Spark's executors on the whole table."
    )
    no_such_keys: ClassVar[Mapping[str, str]] = {
        **NO_SUCH,
        "rounds": "it has no rounds; params.maxIter bounds the steps of its solver",
    }
    importance_name: ClassVar[str] = "spread of its term over the training rows"
    model: ClassVar[type[TrainedModel]] = SparkLinearModel
    table: ClassVar[Parameters] = {
        "regParam": Parameter(low=0, high=1e12, aliases=("alpha",)),
        "elasticNetParam": Parameter(low=0, high=1, aliases=("l1_ratio",)),
        "maxIter": Parameter(low=1, high=1_000_000, whole=True, aliases=("max_iter",)),
        "tol": Parameter(low=0, high=1),
        "aggregationDepth": Parameter(low=2, high=100, whole=True),
        "maxBlockSizeInMB": Parameter(low=0, high=1e6),
    }
    defaults: ClassVar[Mapping[str, Any]] = {"regParam": 1e-4, "elasticNetParam": 0.0, "maxIter": 200}

    def space(self) -> Mapping[str, ParameterRange]:
        """Return the penalty, over powers of ten, and how much of it is of the absolute values."""
        return {
            "regParam": ParameterRange(low=1e-6, high=10.0, log=True),
            "elasticNetParam": ParameterRange(low=0.0, high=1.0),
        }

    def start(self) -> Mapping[str, Value]:
        """Return a light ridge penalty."""
        return {name: self.defaults[name] for name in self.space()}

    def feature_choices(self) -> FeatureChoices:
        """Return ranks in place of numbers, means of the label in place of a column for each category, more words."""
        from synml_dagster.features import FeatureChoices

        return FeatureChoices(scale=["quantile"], encoding=["target"], text_width=[256])

    def train(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        params: Mapping[str, Any],
        rows: TrainingRows,
        *,
        seed: int,
        place: str | None,
    ) -> SparkLinearModel:
        """Fit on standardised columns, and keep the coefficients as terms of features."""
        from synml_dagster.learners.spark_ml.linear import (
            arrays_of,
            design_of,
            form_of,
            of_all_classes,
            ordered,
            vectors,
        )

        design, shares = design_of(rows)
        data = vectors(rows, design)
        classifies = plan.task != "regression"
        if classifies:
            trained = _logistic(data, params, rows.classes)
            middle = 0.0
        else:
            trained, middle = _least_squares(data, params)
        intercept, coefficients = arrays_of(trained)
        count = len(plan.label.classes or []) if classifies else 1
        coefficients = ordered(coefficients, rows, design)
        if classifies:
            intercept, coefficients = of_all_classes(intercept, coefficients, rows.classes, count)
        link = Link() if not classifies else Link("logistic" if count == 2 else "softmax")
        form, spread = form_of(design, shares, intercept + middle, coefficients, link, classifies)
        return SparkLinearModel(
            text=write_form(form),
            features=list(plan.feature_names),
            categorical=list(plan.categorical_features),
            objective=_OBJECTIVE[plan.task],
            params=dict(params),
            facts={"notes": []},
            spread=spread,
        )

    def form(self, text: str) -> AdditiveForm:
        """Return the terms of a model's text."""
        return read_form(text)


def _logistic(data: DataFrame, params: Mapping[str, Any], classes: tuple[int, ...]) -> Any:
    """Fit on the classes that there are, as 0, 1 ...: pyspark.ml gives one that no row has a score all the same."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.sql import functions as sf

    if classes != tuple(range(len(classes))):
        numbered = sf.create_map(
            *(sf.lit(float(v)) for pair in zip(classes, range(len(classes)), strict=True) for v in pair)
        )
        data = data.withColumn("label", numbered[sf.col("label")])
    return LogisticRegression(
        weightCol="weight",
        standardization=False,
        family="binomial" if len(classes) == 2 else "multinomial",
        **params,
    ).fit(data)


def _least_squares(data: DataFrame, params: Mapping[str, Any]) -> tuple[Any, float]:
    """Fit to what labels differ by from their mean, which is returned, too: far from 0 they would have no digits left."""
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import functions as sf

    weight = sf.col("weight")
    told = data.agg((sf.sum(weight * sf.col("label")) / sf.sum(weight)).alias("mean")).collect()[0]
    middle = float(told["mean"])
    data = data.withColumn("label", sf.col("label") - middle)
    return LinearRegression(weightCol="weight", standardization=False, **params).fit(data), middle


LEARNER = SparkLinearLearner()
