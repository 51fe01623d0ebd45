"""Every family holds the contract of learners, on classic Spark and on Connect."""

from typing import ClassVar

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
    train: ClassVar = {"params": {"n_estimators": 20, "n_jobs": 1}}


class TestExtraTrees(LearnerContract):
    learner = "extra_trees"
    train: ClassVar = {"params": {"n_estimators": 20, "n_jobs": 1}}


class TestPerceptron(LearnerContract):
    learner = "mlp"
    train: ClassVar = {"rounds": 25, "params": {"width": 32}}
