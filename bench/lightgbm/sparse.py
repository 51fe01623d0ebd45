"""Hashed words: sparse vectors in Parquet to a model, in turns with plain LightGBM on a SciPy matrix of the same file.

`python -m bench.lightgbm.sparse --rows 200000 --features 262144` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.feature import HashingTF
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import roc_auc_score

from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.learners.lightgbm.data.blocks import features_of
from synml_dagster.spark import SparkSettings, open_session

WORDS = 40


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--features", type=int, default=1 << 18)
    arguments.add_argument("--rounds", type=int, default=50)
    arguments.add_argument("--turns", type=int, default=3)
    given = arguments.parse_args()
    told: dict[str, list[float]] = {"plain": [], "one rank": [], "two ranks": []}
    areas: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session(SparkSettings(master="local[2]"))
        made(spark, given.rows, given.features).write.parquet(f"{folder}/train")
        some = read(Path(folder, "train"), given.features, 20_000)
        frame = spark.read.parquet(f"{folder}/train")
        for turn in range(given.turns + 1):
            for side in told:
                began = time.perf_counter()
                if side == "plain":
                    X, y = read(Path(folder, "train"), given.features)
                    params = {
                        "objective": "binary",
                        "verbosity": -1,
                        "deterministic": True,
                        "force_row_wise": True,
                    }
                    booster = lgb.train(params, lgb.Dataset(X, y), given.rounds)
                    del X, y
                else:
                    ranks = 1 if side == "one rank" else 2
                    trainer = LightGBM({"objective": "binary"}, rounds=given.rounds, ranks=ranks, timeout=900)
                    booster = trainer.fit(frame, label="label", features="v").booster
                if turn:  # the first warms Spark up
                    told[side].append(round(time.perf_counter() - began, 1))
                areas[side] = round(float(roc_auc_score(some[1], booster.predict(some[0]))), 4)
        spark.stop()
    print(json.dumps({**vars(given), "seconds": told, "auc of 20,000 of the rows": areas}))


def made(spark: SparkSession, rows: int, features: int) -> DataFrame:
    """Texts of 40 words, frequent and rare ones as in a language, hashed by pyspark.ml; the words make the label."""

    def draw(batches):  # type: ignore[no-untyped-def]
        weights = np.random.default_rng(1).standard_normal(1 << 16)
        for batch in batches:
            rng = np.random.default_rng(batch.column(0)[0].as_py())
            words = np.minimum(rng.zipf(1.2, (batch.num_rows, WORDS)), 1 << 40)
            score = weights[words % len(weights)].mean(axis=1) * 4 + rng.standard_normal(len(words))
            texts = [[str(word) for word in row] for row in words.tolist()]
            yield pa.RecordBatch.from_pydict({"words": texts, "label": (score > 0).astype(np.float64)})

    drawn = spark.range(0, rows, 1, 2).mapInArrow(draw, "words array<string>, label double")
    return (
        HashingTF(numFeatures=features, inputCol="words", outputCol="v").transform(drawn).select("v", "label")
    )


def read(folder: Path, features: int, rows: int | None = None):  # type: ignore[no-untyped-def]
    """The vectors of Parquet files as a SciPy matrix, and the labels."""
    table = pq.read_table(folder, columns=["v", "label"]).combine_chunks()
    table = table if rows is None else table.slice(0, rows)
    X = features_of(table.column("v").chunk(0), features)
    return X, table.column("label").to_numpy()


if __name__ == "__main__":
    main()
