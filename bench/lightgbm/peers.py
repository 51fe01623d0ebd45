"""The same rows, cores, rounds and leaves with SparkML's GBT and, where installed, xgboost.spark and SynapseML.

`python -m bench.lightgbm.peers --rows 1000000 --peer sparkml [--sorted]` prints one JSON line:
seconds of the second fit of a warm session, and AUC on 200,000 unseen rows.
xgboost and SynapseML want environments of their own (the README says how); run this file with their Python.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench.lightgbm.made import FEATURES, make_table

NAMES = [f"f{i}" for i in range(FEATURES)]
LEAVES, ROUNDS = 31, 100


def session(cores: int, **conf: str):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", "8g")
    for key, value in conf.items():
        builder = builder.config(key.replace("_", "."), value)
    return builder.getOrCreate()


def assembled(spark, path):
    from pyspark.ml.feature import VectorAssembler

    return (
        VectorAssembler(inputCols=NAMES, outputCol="features")
        .transform(spark.read.parquet(str(path)))
        .select("features", "label")
    )


def auc_of(scored) -> float:
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    return BinaryClassificationEvaluator(labelCol="label", rawPredictionCol="probability").evaluate(scored)


def timed(fit) -> tuple[float, object]:
    fit(5)
    began = time.perf_counter()
    model = fit(ROUNDS)
    return time.perf_counter() - began, model


def synml(path, test, cores, preset=None):
    import pyarrow.parquet as pq
    from sklearn.metrics import roc_auc_score

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.lightgbm import LightGBM
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master=f"local[{cores}]"))
    params = {"objective": "binary", "num_leaves": LEAVES}
    seconds, model = timed(
        lambda rounds: LightGBM(params, rounds=rounds, preset=preset).fit(
            ParquetFiles((str(path),)), spark=spark, label="label", features=NAMES
        )
    )
    rows = pq.read_table(test)
    X = np.column_stack([rows[name].to_numpy() for name in NAMES])
    return seconds, roc_auc_score(rows["label"].to_numpy(), model.predict(X))


def sparkml(path, test, cores):
    from pyspark.ml.classification import GBTClassifier

    spark = session(cores)
    train = assembled(spark, path).cache()
    train.count()
    # GBT grows level by level: 32 leaves are five levels.
    seconds, model = timed(
        lambda rounds: GBTClassifier(maxIter=rounds, maxDepth=5, maxBins=255, stepSize=0.1).fit(train)
    )
    return seconds, auc_of(model.transform(assembled(spark, test)))


def xgboost(path, test, cores):
    from xgboost.spark import SparkXGBClassifier

    spark = session(cores, spark_task_cpus=str(cores))  # its threads are the cores of its task
    train = assembled(spark, path)
    seconds, model = timed(
        lambda rounds: SparkXGBClassifier(
            n_estimators=rounds,
            max_leaves=LEAVES,
            max_depth=0,
            grow_policy="lossguide",
            learning_rate=0.1,
            num_workers=1,
        ).fit(train)
    )
    return seconds, auc_of(model.transform(assembled(spark, test)))


def synapseml(path, test, cores):
    spark = session(
        cores,
        spark_jars_packages="com.microsoft.azure:synapseml-lightgbm_2.12:1.1.3",
    )
    from synapse.ml.lightgbm import LightGBMClassifier

    train = assembled(spark, path)
    seconds, model = timed(
        lambda rounds: LightGBMClassifier(
            numIterations=rounds, numLeaves=LEAVES, learningRate=0.1, useBarrierExecutionMode=True
        ).fit(train)
    )
    return seconds, auc_of(model.transform(assembled(spark, test)))


PEERS = {
    "synml": synml,
    "synml-fast": partial(synml, preset="fast"),
    "sparkml": sparkml,
    "xgboost": xgboost,
    "synapseml": synapseml,
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--cores", type=int, default=os.cpu_count())
    arguments.add_argument(
        "--peer", choices=PEERS, default="synml", help="one a process: each opens a session of its own"
    )
    arguments.add_argument("--sorted", action="store_true", help="train on rows sorted by the first feature")
    arguments.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "synml-bench"))
    given = arguments.parse_args()
    folder = Path(given.folder)
    name = f"sorted-{given.rows}.parquet" if given.sorted else f"train-{given.rows}.parquet"
    path = make_table(folder / name, given.rows, sorted_by_first=given.sorted)
    # The weights of the label are drawn from the seed, so unseen rows of the same law are the tail of a longer table.
    test = folder / "unseen.parquet"
    if not test.exists():
        import pyarrow.parquet as pq

        longer = make_table(folder / f"longer-{given.rows}.parquet", given.rows + 250_000)
        pq.write_table(pq.read_table(longer).slice(given.rows, 200_000), test)
    seconds, auc = PEERS[given.peer](path, test, given.cores)
    told = {"peer": given.peer, "rows": given.rows, "sorted": given.sorted, "cores": given.cores}
    print(json.dumps({**told, "seconds": round(seconds, 2), "auc": round(float(auc), 5)}))


if __name__ == "__main__":
    main()
