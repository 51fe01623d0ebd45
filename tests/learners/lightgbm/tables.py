"""Tables that the tests of this room learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synml_dagster.files import ParquetFiles


def binary_table(rows: int = 4000, features: int = 6, seed: int = 0) -> pd.DataFrame:
    """Two features and a half-wave of a third decide the label; a fifth of the rows is marked for validation."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, features)).astype(np.float32)
    table = pd.DataFrame({f"x{i}": X[:, i] for i in range(features)})
    noise = rng.standard_normal(rows)
    table["label"] = (X[:, 0] + 0.5 * X[:, 1] + np.maximum(X[:, 2], 0) + noise > 0.4).astype(float)
    table["held_out"] = rng.random(rows) < 0.2
    return table


def feature_names(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith("x")]


def as_parquet(table: pd.DataFrame, folder: Path, files: int = 1) -> ParquetFiles:
    """The rows of `table`, in order, cut into `files` Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, rows in enumerate(np.array_split(np.arange(len(table)), files)):
        path = folder / f"part-{i}.parquet"
        pq.write_table(pa.Table.from_pandas(table.iloc[rows], preserve_index=False), path)
        paths.append(str(path))
    return ParquetFiles(tuple(paths))
