"""Scores with a model whose weights are in files beside it, in a driver of its own: prints the answers."""

from __future__ import annotations

import json
import sys

from synml_dagster.onnx import OnnxModel, score
from synml_dagster.spark import SparkSettings, open_session
from tests.cluster import CONF


def main(address: str, folder: str) -> None:
    connect = address.startswith("sc://")
    settings = SparkSettings(remote=address) if connect else SparkSettings(master=address, conf=CONF)
    spark = open_session(settings)
    rows = spark.range(1000, numPartitions=4).selectExpr("cast(id as float) as a", "cast(1 as float) as b")
    scored = score(rows, OnnxModel.load(folder), inputs={"X": ["a", "b"]}, keep=["a"])
    print(json.dumps(sorted([row["a"], *row["Y"]] for row in scored.collect())))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
