"""The pipeline `shop`: small, trained once for all modules that only score with it."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd

from synml_dagster import MLPipeline

ROWS = 240
QUICKEST = {"sweep": {"trials": 0}, "train": {"rounds": 15, "early_stopping": 0}, "explain": {"rows": 20}}


def customers() -> pd.DataFrame:
    """People who leave where they are old and live in Oslo; every column holds values of one type."""
    place = np.arange(ROWS)
    age = 18 + (place * 37) % 70
    return pd.DataFrame(
        {
            "id": place,
            "age": age,
            "income": 1000.0 + (place * 7919) % 5000 + 0.5,
            "city": np.array(["Oslo", "Bern", "Rome"])[place % 3],
            "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(place % 300, "D"),
            "leaves": np.where((age > 50) ^ (place % 3 == 0), "yes", "no"),
        }
    )


def described(folder, **score):
    return {
        "name": "shop",
        "source": str(folder / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id"]},
        "score": score,
    } | QUICKEST


def score_job(told):
    """Run the score job of a described `shop`; return the metadata of each table that it made, or its failure."""
    defs = MLPipeline.model_validate(told).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("shop_score")
        done = job.execute_in_process(instance=instance, raise_on_error=False)
    if not done.success:
        (failure,) = [e.step_failure_data.error for e in done.all_events if e.is_step_failure]
        while failure.cause:
            failure = failure.cause
        return failure.message
    return {
        made.asset_key.path[-1]: {key: value.value for key, value in made.metadata.items()}
        for made in done.asset_materializations_for_node("shop__predictions")
    }
