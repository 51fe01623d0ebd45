"""Trials count for a study again where they looked at the same rows, weights and measures."""

from __future__ import annotations

import pytest

from synml_dagster.assets.sweep import study_key
from synml_dagster.balance import Reweighing
from synml_dagster.learners import TrainSpec
from synml_dagster.tuning import SweepSpec
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.ledger import name_of


def weights(of_women: float, notes: list[str]) -> Reweighing:
    cells = [
        {"group": ["f"], "label": "yes", "rows": 10, "weight": of_women},
        {"group": ["m"], "label": "yes", "rows": 30, "weight": 0.8},
    ]
    return Reweighing.model_validate({"columns": ["sex"], "rows": 40, "cells": cells, "notes": notes})


def test_trials_under_other_weights_do_not_count(classic_plan):
    def name(weighed: Reweighing | None) -> str:
        key = study_key(
            classic_plan, {}, TrainSpec(), SweepSpec(), FoldPlan(1, 1, "one holdout"), "logloss", weighed
        )
        return name_of(key, 0)

    plain, one = name(None), name(weights(1.6, []))
    assert len({plain, one, name(weights(1.7, []))}) == 3
    assert name(weights(1.6, ["said to people"])) == one
    assert name(None) == plain


@pytest.fixture(scope="module")
def classic_plan(classic_spark):
    from synml_dagster.features import FeatureSpec, fit_plan
    from synml_dagster.testing.tables import awkward_table

    df = classic_spark.createDataFrame(awkward_table("binary"))
    return fit_plan(df, name="key", label="label", features=FeatureSpec(include=["age"]))
