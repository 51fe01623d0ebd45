"""Generated tables that contracts are tried on: numbers, categories and text with gaps, and a label of each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def awkward_table(task: str, rows: int = 600, seed: int = 0) -> pa.Table:
    """Return raw rows with a `label` of `task`, a `weight`, a `query`, and columns with missing values."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3, 1, rows)
    age = rng.integers(18, 90, rows)
    city = rng.choice(["Ghent", "Oslo", "Łódź", ""], rows, p=[0.5, 0.3, 0.15, 0.05])
    member = rng.random(rows) < 0.4
    score = np.log(amount) - 3 + (age - 50) / 20 + (city == "Oslo") - member + rng.normal(0, 0.5, rows)
    label: pa.Array
    if task == "binary":
        label = pa.array(np.where(score > 0.3, "yes", "no"))
    elif task == "multiclass":
        label = pa.array(np.array(["low", "middle", "high"])[np.digitize(score, [-0.7, 0.9])])
    elif task == "ranking":
        label = pa.array(np.digitize(score, [-1, 0, 1]))
    else:
        label = pa.array(1000 + 50 * score)

    def holes(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < 0.08)

    return pa.table(
        {
            "amount": holes(amount),
            "age": holes(age),
            "city": holes(city),
            "member": holes(member),
            "constant.ish": holes(np.where(rng.random(rows) < 0.02, 1.5, 0.0)),
            "query": pa.array([f"q{i // 12}" for i in range(rows)]),
            "weight": pa.array(rng.uniform(0.5, 2, rows)),
            "label": label,
        }
    )
