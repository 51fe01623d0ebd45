"""Writes `data/customers`: 400 customers a day for two weeks, and the last day's without an answer."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

PLANS = np.array(["basic", "family", "business"])
CITIES = np.array(["Berlin", "Hamburg", "Köln", "München", "Leipzig"])


def customers(day: date, first: int, rng: np.random.Generator, rows: int = 400) -> pd.DataFrame:
    """Return the customers that were seen on `day`."""
    months = rng.integers(1, 72, rows)
    plan = rng.integers(0, 3, rows)
    calls = rng.poisson(1.2, rows)
    bill = np.round(12 + 14 * plan + rng.gamma(2.0, 4.0, rows), 2)
    usage = np.where(rng.random(rows) < 0.08, np.nan, np.round(rng.lognormal(2.2, 0.7, rows), 1))
    leaning = 0.9 * calls - 0.05 * months + 0.04 * bill - 0.8 * (plan == 1) - 1.0
    return pd.DataFrame(
        {
            "customer": np.arange(first, first + rows),
            "day": day,
            "plan": PLANS[plan],
            "city": CITIES[rng.integers(0, 5, rows)],
            "months": months,
            "monthly_bill": bill,
            "gigabytes": usage,
            "support_calls": calls,
            "churned": np.where(rng.random(rows) < 1 / (1 + np.exp(-leaning)), "yes", "no"),
        }
    )


def main() -> None:
    """Write a file a day."""
    rng, folder = np.random.default_rng(7), Path(__file__).parent / "data" / "customers"
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(14):
        day = date(2026, 1, 1) + timedelta(days=place)
        table = customers(day, 400 * place, rng)
        if place == 13:
            table["churned"] = pd.array([None] * len(table), dtype="string")
        table.to_parquet(folder / f"{day}.parquet", index=False)
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
