"""The pipeline `shop`: small, trained once for all modules that only score with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

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
