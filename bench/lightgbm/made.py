"""The table of these benchmarks: rows that look like a physics or click table, float32, made from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 28
CHUNK = 250_000


def make_table(path: Path, rows: int, sorted_by_first: bool = False, seed: int = 0) -> Path:
    """Write `rows` rows of 28 float32 features and a 0/1 label as one Parquet file, unless it is there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(FEATURES)
    names = [f"f{i}" for i in range(FEATURES)]
    order = np.sort(rng.standard_normal(rows).astype(np.float32)) if sorted_by_first else None
    part = path.with_suffix(".part")
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        X = rng.standard_normal((n, FEATURES), dtype=np.float32)
        if order is not None:
            X[:, 0] = order[start : start + n]
        X[:, 20:24] = np.exp(X[:, 20:24])
        X[:, 24:] = np.round(X[:, 24:] * 2)
        score = (
            X @ weights / 3
            + X[:, 0] * X[:, 1]
            - np.abs(X[:, 2])
            + X[:, 3] * (X[:, 4] > 0)
            + rng.standard_normal(n)
        )
        label = (score > np.float32(0)).astype(np.float32)
        table = pa.table({**{name: X[:, i] for i, name in enumerate(names)}, "label": label})
        writer = writer or pq.ParquetWriter(part, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    part.rename(path)
    return path
