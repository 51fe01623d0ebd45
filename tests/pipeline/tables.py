"""Real tables that scikit-learn ships, written as CSV files: one for each task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def breast_cancer(folder: Path) -> Path:
    """569 rows, 30 numbers, a binary label of two words; some values are taken out."""
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer(as_frame=True)
    frame = loaded.data.copy()
    frame.loc[frame.index % 17 == 0, "mean radius"] = None
    frame["size"] = pd.cut(
        loaded.data["mean area"], [0, 400, 700, 5000], labels=["small", "middle", "large"]
    ).astype(str)
    frame.loc[frame.index % 23 == 0, "size"] = None
    frame["diagnosis"] = [loaded.target_names[t] for t in loaded.target]
    return _written(frame, folder / "breast_cancer.csv")


def wine(folder: Path) -> Path:
    """178 rows, 13 numbers, a label of three words."""
    from sklearn.datasets import load_wine

    loaded = load_wine(as_frame=True)
    frame = loaded.data.copy()
    frame["cultivar"] = [str(loaded.target_names[t]) for t in loaded.target]
    return _written(frame, folder / "wine.csv")


def diabetes(folder: Path) -> Path:
    """442 rows, 10 numbers, a number to predict."""
    from sklearn.datasets import load_diabetes

    loaded = load_diabetes(as_frame=True, scaled=False)
    frame = loaded.data.copy()
    frame["progression"] = loaded.target
    return _written(frame, folder / "diabetes.csv")


def queries(folder: Path) -> Path:
    """60 queries with 5 to 25 documents each, graded 0 to 3 by two of four numbers."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 26, 60)
    frame = pd.DataFrame(rng.normal(size=(sizes.sum(), 4)), columns=["match", "age", "clicks", "length"])
    frame["query"] = np.repeat([f"q{i:02}" for i in range(60)], sizes)
    worth = frame["match"] + 0.5 * frame["clicks"] + rng.normal(scale=0.3, size=len(frame))
    frame["grade"] = np.digitize(worth, [-0.5, 0.5, 1.5])
    return _written(frame.sample(frac=1, random_state=0), folder / "queries.csv")


TABLES = {
    "binary": (breast_cancer, {"label": "diagnosis"}),
    "multiclass": (wine, {"label": "cultivar"}),
    "regression": (diabetes, {"label": "progression"}),
    "ranking": (queries, {"label": "grade", "task": "ranking", "group": "query"}),
}


def _written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path
