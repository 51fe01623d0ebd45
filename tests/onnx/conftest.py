"""A table of every kind of column, a plan fitted on it and models trained on its features: small, real, shared."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

CITIES = ["Ghent", "Oslo", "Łódź", "São Paulo", "", "New York", None]


def make_table(rows: int, seed: int = 0) -> pa.Table:
    """Numbers of all widths, words, booleans, dates and times, all with missing values, and labels of three kinds."""
    rng = np.random.default_rng(seed)

    def holes(values: list, share: float = 0.08) -> list:
        return [None if hole else value for value, hole in zip(values, rng.random(rows) < share, strict=True)]

    age = rng.integers(18, 90, rows)
    income = rng.lognormal(10, 1, rows)
    city = rng.integers(0, len(CITIES), rows)
    day = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 900, rows)]
    when = [
        dt.datetime(2021, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=int(s))
        for s in rng.integers(0, 10**7, rows)
    ]
    member = rng.random(rows) < 0.4
    score = (age - 50) / 20 + np.log(income) - 10 + (city % 3) + member + rng.normal(0, 0.5, rows)
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "age": pa.array(holes(age.tolist()), pa.int32()),
            "in.come": pa.array(holes(income.tolist()), pa.float64()),
            "height": pa.array(holes(rng.normal(170, 10, rows).astype(np.float32).tolist()), pa.float32()),
            "city": pa.array([CITIES[c] for c in city], pa.string()),
            "member": pa.array(holes(member.tolist()), pa.bool_()),
            "joined": pa.array(holes(day), pa.date32()),
            "seen": pa.array(holes(when), pa.timestamp("us", "UTC")),
            # With another column of the same type each: Spark moves such as one column of lists.
            "weight": pa.array((70 + score + rng.normal(0, 2, rows)).astype(np.float32)),
            "visits": pa.array(holes(rng.integers(0, 30, rows).tolist()), pa.int32()),
            "accepted": pa.array(np.where(score > 1, "yes", "no").tolist()),
            "flag": pa.array((score > 1).tolist()),
            "grade": pa.array(np.digitize(score, [0.3, 1.6]).astype(np.int64) * 10),
            "amount": pa.array(500_000 + 40_000 * score),
        }
    )


LABELS = {"accepted": "binary", "flag": "binary", "grade": "multiclass", "amount": "regression"}


@pytest.fixture(scope="session")
def table() -> pa.Table:
    return make_table(3000)


@pytest.fixture(scope="session")
def pipelines(classic_spark, table):
    """label -> (plan, model): LightGBM on the features that Spark assembled, trained in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPARK_CONNECT_MODE_ENABLED", raising=False)
        return _fitted(classic_spark, table)


def _fitted(spark, table):
    import lightgbm as lgb

    from synml_dagster.features import LABEL, FeatureSpec, assemble, fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel

    made = {}
    raw = spark.createDataFrame(table)
    for label, task in LABELS.items():
        drop = [name for name in LABELS if name != label] + ["id"]
        plan = fit_plan(raw, name=f"by_{label}", label=label, task=task, features=FeatureSpec(exclude=drop))
        rows = assemble(raw, plan).toArrow()
        X = np.stack([rows.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
        params = {
            "objective": task,
            "num_leaves": 15,
            "verbose": -1,
            "num_threads": 1,
            "min_data_in_leaf": 10,
        }
        if task == "multiclass":
            params["num_class"] = 3
        places = [plan.feature_names.index(c) for c in plan.categorical_features]
        data = lgb.Dataset(X, rows.column(LABEL).to_numpy(), categorical_feature=places)
        booster = lgb.train(params, data, 25)
        model = LightGBMModel(
            text=booster.model_to_string(),
            features=plan.feature_names,
            categorical=plan.categorical_features,
            objective=task,
            num_class=3 if task == "multiclass" else 1,
        )
        made[label] = (plan, model)
    return made


@pytest.fixture(scope="session")
def exported(pipelines):
    """label -> OnnxModel."""
    from synml_dagster.export import export_pipeline
    from synml_dagster.onnx import OnnxModel

    return {label: OnnxModel(export_pipeline(plan, model)) for label, (plan, model) in pipelines.items()}
