"""Writes `data/telemetry`, a file a day: what machines measured, and two days later whether they failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_DAY = date(2026, 3, 1)
READINGS = 500
LABELS_COME_AFTER = 2

KINDS = np.array(["lathe", "mill", "press"])


@dataclass(frozen=True)
class Plant:
    """What happens in the plant, by day from 1.

    Attributes
    ----------
    busy_from
        The plant takes on more orders: every machine runs under a higher load, and hotter.
    broken_on
        The gateway of the vibration sensors answers 9999 all day; the next morning it sends the day again.
    """

    folder: Path
    busy_from: int
    broken_on: int

    def write(self, day: int, *, known: bool = False, repaired: bool = False) -> None:
        """Write the file of a day; `known` says whether its labels have come."""
        table = self.readings(day)
        if day == self.broken_on and not repaired:
            table["vibration"] = 9999.0
        if not known:
            table["failed"] = pd.array([None] * len(table), dtype="string")
        self.folder.mkdir(parents=True, exist_ok=True)
        table.to_parquet(self.folder / f"{key(day)}.parquet", index=False)

    def readings(self, day: int) -> pd.DataFrame:
        """Return the readings of a day with their labels; the same ones at each call."""
        rng = np.random.default_rng(100 + day)
        machine = rng.integers(0, 30, READINGS)
        wear = rng.gamma(2.0, 1.0, READINGS)
        load = rng.normal(80.0 if day >= self.busy_from else 50.0, 4.0, READINGS)
        risk = 1 / (1 + np.exp(-1.8 * (wear - 3.2)))
        return pd.DataFrame(
            {
                "reading": np.arange(READINGS) + READINGS * day,
                "day": FIRST_DAY + timedelta(days=day - 1),
                "machine": [f"M{number:02}" for number in machine],
                "kind": KINDS[machine % 3],
                "load": load.round(1),
                # A machine is hot because it works hard or because it is worn out: only both columns together tell.
                "temperature": (30 + 0.6 * load + 2.5 * wear + rng.normal(0, 1.0, READINGS)).round(1),
                "vibration": (1 + 0.2 * wear + rng.normal(0, 0.25, READINGS)).round(2),
                "pressure": rng.normal(6.0, 0.3, READINGS).round(2),
                "failed": np.where(rng.random(READINGS) < risk, "yes", "no"),
            }
        )


def key(day: int) -> str:
    """Return the partition of a day, from 1."""
    return (FIRST_DAY + timedelta(days=day - 1)).isoformat()
