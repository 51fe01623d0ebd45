"""Scores the table that `scoring.py --keep FOLDER` left with SynapseML's ONNXModel, at its default batch and at a large one.

Runs in an environment of its own (bench/lightgbm/README.md says which), whose jars Spark fetches from Maven:

    PYSPARK_PYTHON=<its python> <its python> bench/onnx/synapseml.py FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

JARS = "com.microsoft.azure:synapseml-deep-learning_2.12:1.1.0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[10_000, 10])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()

    from pyspark.sql import SparkSession
    from pyspark.sql import functions as sf

    builder = SparkSession.builder.master(f"local[{given.cores}]").config("spark.driver.memory", "8g")
    spark = builder.config("spark.jars.packages", JARS).getOrCreate()
    from synapse.ml.onnx import ONNXModel

    frame = spark.read.parquet(str(given.folder / "table.parquet")).drop("label")
    rows = frame.count()
    content = (given.folder / "flat.onnx").read_bytes()
    for size in given.batches:
        model = (
            ONNXModel()
            .setModelPayload(content)
            .setDeviceType("CPU")
            .setFeedDict({name: name for name in frame.columns})
            .setFetchDict({"p": "p"})
            .setMiniBatchSize(size)
        )
        seconds = []
        for _ in range(given.repeat):
            start = time.perf_counter()
            answer = model.transform(frame).agg(sf.sum("p")).first()[0]
            seconds.append(time.perf_counter() - start)
        figures = {"batch": size, "seconds": round(min(seconds), 2), "sum": round(answer, 2)}
        print(json.dumps({**figures, "rows_per_second": round(rows / min(seconds))}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
