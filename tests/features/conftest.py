"""Small tables whose every value a test can point at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def people() -> pd.DataFrame:
    """300 rows: a number with gaps, a word, a flag, a date as text, a sentence, an id, a constant, and who came back."""
    rng = np.random.default_rng(0)
    n = 300
    age = rng.integers(18, 90, n).astype(float)
    city = rng.choice(["Oslo", "Bergen", "Hamar"], n, p=[0.6, 0.3, 0.1])
    score = (age - 50) / 20 + (city == "Oslo") + rng.normal(0, 1, n)
    age[rng.random(n) < 0.1] = np.nan
    words = np.array(
        ["good", "bad", "fine", "slow", "fast", "room", "bed", "food", "view", "staff", "price", "noise"]
    )
    return pd.DataFrame(
        {
            "age": age,
            "city": np.where(rng.random(n) < 0.05, None, city),
            "member": rng.random(n) < 0.5,
            "joined": [
                f"20{rng.integers(10, 26)}-{rng.integers(1, 13):02d}-{rng.integers(1, 28):02d}"
                for _ in range(n)
            ],
            "review": [" ".join(rng.choice(words, 8)) for _ in range(n)],
            "person_id": rng.permutation(n) * 7,
            "country": "NO",
            "came_back": np.where(score > 0.3, "yes", "no"),
        }
    )
