"""Every family holds the contract of learners, on classic Spark and on Connect."""

from typing import ClassVar

import pytest

from synml_dagster.testing import LearnerContract


class TestLightGBM(LearnerContract):
    learner = "lightgbm"
    train: ClassVar = {"rounds": 30}


class TestLinear(LearnerContract):
    learner = "linear"


class TestXGBoost(LearnerContract):
    learner = "xgboost"
    train: ClassVar = {"rounds": 15, "params": {"nthread": 1}}


class TestRandomForest(LearnerContract):
    learner = "random_forest"
    slow_on_connect = True
    train: ClassVar = {"params": {"n_estimators": 20, "n_jobs": 1}}


@pytest.mark.slow  # all but the growing of a tree is the random forest's
class TestExtraTrees(LearnerContract):
    learner = "extra_trees"
    slow_on_connect = True
    train: ClassVar = {"params": {"n_estimators": 20, "n_jobs": 1}}


class TestPerceptron(LearnerContract):
    learner = "mlp"
    slow_on_connect = True
    train: ClassVar = {"rounds": 25, "params": {"width": 32}}


@pytest.mark.slow  # a fit of pyspark.ml is a row of jobs, which takes seconds for the smallest table
class TestSparkLinear(LearnerContract):
    learner = "spark_linear"
    slow_on_connect = True


@pytest.mark.slow
class TestSparkRandomForest(LearnerContract):
    learner = "spark_random_forest"
    slow_on_connect = True
    train: ClassVar = {"params": {"numTrees": 5, "maxDepth": 4}}


class TestSparkGBT(LearnerContract):
    learner = "spark_gbt"
    slow_on_connect = True
    slow_tasks = ("binary",)
    train: ClassVar = {"params": {"maxIter": 5, "stepSize": 0.3, "maxDepth": 3}}
