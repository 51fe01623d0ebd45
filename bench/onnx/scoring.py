"""Scores one table in four ways, side by side in one run: raw ONNX Runtime in this process, this package by shares and by
Spark rows, and MLflow's `pyfunc.spark_udf`.

    python bench/onnx/scoring.py --rows 1000000 --trees 100 --table numeric
    python bench/onnx/scoring.py --rows 1000000 --trees 100 --table words

Every way reads the same Parquet files, scores them with the same .onnx file and adds up the probabilities, so that no
answer can be left uncomputed. Each is run once to warm it and then `--repeat` times; the best counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = {
    "workclass": 9,
    "education": 16,
    "marital": 7,
    "occupation": 15,
    "relation": 6,
    "race": 5,
    "sex": 2,
    "country": 42,
}


def numeric_table(rows: int) -> pa.Table:
    """28 float32 columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 28)).astype(np.float32)
    label = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int64)
    return pa.table({**{f"f{i}": X[:, i] for i in range(28)}, "label": label})


def words_table(rows: int) -> pa.Table:
    """The shape of the Adult census: six whole numbers and eight words, some missing."""
    rng = np.random.default_rng(0)
    numbers = {
        "age": rng.integers(17, 91, rows),
        "weight": rng.integers(12285, 1484705, rows),
        "years": rng.integers(1, 17, rows),
        "gain": np.where(rng.random(rows) < 0.92, 0, rng.integers(100, 99999, rows)),
        "loss": np.where(rng.random(rows) < 0.95, 0, rng.integers(100, 4356, rows)),
        "hours": rng.integers(1, 100, rows),
    }
    codes = {name: rng.zipf(1.5, rows) % n for name, n in WORDS.items()}
    columns = {name: pa.array(values.astype(np.int32)) for name, values in numbers.items()}
    for name, n in WORDS.items():
        words = pa.array([None if i == n - 1 else f"{name}-{i}" for i in range(n)])
        columns[name] = words.take(pa.array(codes[name]))
    score = numbers["age"] / 40 + numbers["years"] / 10 + codes["education"] % 3 - codes["marital"] % 2
    label = np.where(score + rng.normal(0, 0.7, rows) > np.median(score), ">50K", "<=50K")
    return pa.table({**columns, "label": pa.array(label.tolist())})


def make_model(spark, table: pa.Table, trees: int):
    """Fit the plan and the booster on the first 100,000 rows and export: return plan, booster's model and graph."""
    import lightgbm as lgb

    from synml_dagster.export import export_pipeline
    from synml_dagster.features import LABEL, assemble, fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel
    from synml_dagster.onnx import OnnxModel

    raw = spark.createDataFrame(table.slice(0, 100_000))
    plan = fit_plan(raw, name="bench", label="label", task="binary")
    rows = assemble(raw, plan).toArrow()
    X = np.stack([rows.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
    places = [plan.feature_names.index(c) for c in plan.categorical_features]
    params = {"objective": "binary", "num_leaves": 31, "verbose": -1}
    booster = lgb.train(
        params, lgb.Dataset(X, rows.column(LABEL).to_numpy(), categorical_feature=places), trees
    )
    model = LightGBMModel(booster.model_to_string(), plan.feature_names, plan.categorical_features, "binary")
    return plan, model, OnnxModel(export_pipeline(plan, model))


def raw_onnxruntime(plan, file: Path, paths: list[str], threads: int) -> Callable[[], float]:
    """Read with pyarrow, pack with numpy, one session over all cores, batches of 65,536 rows."""
    import onnxruntime

    from tests.feed import tensors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options)
    names = [raw.name for raw in plan.raw_inputs]

    def run() -> float:
        total = 0.0
        for path in paths:
            for batch in pq.ParquetFile(path, memory_map=True).iter_batches(65536, columns=names):
                (answer,) = session.run(["probabilities"], tensors(batch, plan.raw_inputs))
                total += float(answer[:, 1].sum(dtype=np.float64))
        return total

    return run


def ours(spark, model, data, **options) -> Callable[[], float]:
    from pyspark.sql import functions as sf

    from synml_dagster.onnx import score

    def run() -> float:
        scored = score(data, model, keep=[], outputs=["probability"], spark=spark, **options)
        return scored.agg(sf.sum("probability")).first()[0]

    return run


def mlflow_udf(spark, plan, model, frame, folder: Path) -> Callable[[], float]:
    import mlflow
    from pyspark.sql import functions as sf

    from tests.feed import raw_frame

    place = folder / "mlflow"
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    inputs = [raw.name for raw in plan.raw_inputs]
    signature = mlflow.models.ModelSignature(
        mlflow.types.Schema(
            [mlflow.types.ColSpec("string" if i.type == "string" else i.type, i.name) for i in model.inputs]
        ),
        mlflow.types.Schema([mlflow.types.ColSpec("double", "p")]),
    )
    mlflow.onnx.save_model(_flat(model), str(place), signature=signature)
    udf = mlflow.pyfunc.spark_udf(spark, str(place), result_type="double", env_manager="local")

    def run() -> float:
        sent = raw_frame(frame, plan)
        return (
            sent.select(udf(*[sf.col(f"`{name}`") for name in inputs]).alias("p")).agg(sf.sum("p")).first()[0]
        )

    return run


def keep(folder: Path, table: str, model) -> None:
    """Leave the table, and the graph as those want it who fill each input with a tensor `[N]`."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(table, folder / "table.parquet")
    (folder / "flat.onnx").write_bytes(_older(_flat(model)).SerializeToString())


def _older(graph):
    """The same graph in float32 for the runtime of 2021 that SynapseML carries: its trees know no doubles."""
    from onnx import TensorProto, helper, numpy_helper

    graph.ir_version = 7
    for opset in graph.opset_import:
        opset.version = 2 if opset.domain else 14
    for tensor in graph.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            single = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(single, tensor.name))
    for node in graph.graph.node:
        kept = []
        for attribute in node.attribute:
            name = attribute.name
            if name.endswith("_as_tensor"):
                values = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute = helper.make_attribute(name.removesuffix("_as_tensor"), values.tolist())
            elif name == "to" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
            kept.append(attribute)
        del node.attribute[:]
        node.attribute.extend(kept)
    return graph


def _flat(model):
    import onnx

    only = onnx.ModelProto.FromString(model.content)
    _take_flat_inputs(only)
    _give_flat_answer(only)
    return only


def _take_flat_inputs(model) -> None:
    """MLflow fills each of several inputs with a tensor `[N]`; the graph's own are `[N, 1]`."""
    import onnx
    from onnx import helper, numpy_helper

    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "column_shape"))
    added = []
    for value in graph.input:
        name = value.name
        for node in graph.node:
            node.input[:] = [f"{name}/column" if used == name else used for used in node.input]
        added.append(helper.make_node("Reshape", [name, "column_shape"], [f"{name}/column"]))
        value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension()]))
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _give_flat_answer(model) -> None:
    """MLflow's UDF takes outputs of one number a row, and the probabilities are `[N, 2]`: give the second alone."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "second"))
    graph.node.append(helper.make_node("Gather", ["probabilities", "second"], ["p"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, [None]))


def best(run: Callable[[], float], repeat: int) -> tuple[float, float]:
    answer = run()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        answer = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--table", choices=["numeric", "words"], default="numeric")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--keep", help="a folder that gets the table and the flat graph, for synapseml.py")
    given = parser.parse_args()

    from synml_dagster.files import ParquetFiles
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master=f"local[{given.cores}]"))
    with tempfile.TemporaryDirectory(prefix="synml-bench-") as name:
        folder = Path(name)
        table = numeric_table(given.rows) if given.table == "numeric" else words_table(given.rows)
        path = str(folder / "table.parquet")
        pq.write_table(table, path, row_group_size=131_072)
        plan, _, model = make_model(spark, table, given.trees)
        del table
        model.save(folder)
        files = ParquetFiles((path,))
        frame = spark.read.parquet(path)
        ways = {
            "raw onnxruntime": raw_onnxruntime(plan, folder / "model.onnx", [path], given.cores),
            "ours by shares": ours(spark, model, files),
            "ours by rows": ours(spark, model, frame),
        }
        if given.keep:
            keep(Path(given.keep), path, model)
        if not given.without_mlflow:
            ways["mlflow spark_udf"] = mlflow_udf(spark, plan, model, frame, folder)
        base = None
        for way, run in ways.items():
            seconds, answer = best(run, given.repeat)
            base = base or seconds
            figures = {
                "way": way,
                "seconds": round(seconds, 2),
                "rows_per_second": round(given.rows / seconds),
                "of_raw": round(base / seconds, 2),
                "sum": round(answer, 2),
            }
            print(json.dumps(figures), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
