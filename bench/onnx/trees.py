"""One batch of 65,536 rows on one thread: trees walked by ONNX Runtime's nodes, by tables of leaf masks, and by LightGBM.

    python -m bench.onnx.trees --trees 100 --table words

Processor seconds, best of `--repeat`, each way in turn so that a busy machine is busy for all. The first two are whole
scorings of raw rows by `Scorer`; LightGBM's own `predict` gets the finished features.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from bench.onnx.scoring import make_model, numeric_table, words_table

ROWS = 65_536


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--table", choices=["numeric", "words"], default="words")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()

    import lightgbm as lgb

    from synml_dagster.features import assemble
    from synml_dagster.onnx import Scorer
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[2]"))
    table = numeric_table(200_000) if given.table == "numeric" else words_table(200_000)
    plan, trained, model = make_model(spark, table, given.trees)
    rows = table.slice(0, ROWS).drop_columns(["label"])
    features = assemble(spark.createDataFrame(rows), plan, training=False).toArrow()
    X = np.stack([features.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
    spark.stop()
    batch: pa.RecordBatch = rows.combine_chunks().to_batches()[0]

    wanted = ["raw_score"]
    by_graph = Scorer(model, outputs=wanted, trees="onnxruntime")
    by_tables = Scorer(model, outputs=wanted, trees="tables")
    made = cpu_seconds(lambda: by_tables.has_tables)
    if not by_tables.has_tables:
        raise SystemExit("These trees do not suit tables.")
    assert by_graph.score(batch).equals(by_tables.score(batch))
    booster = lgb.Booster(model_str=trained.text)
    ways: dict[str, Callable[[], object]] = {
        "ONNX Runtime's nodes": lambda: by_graph.score(batch),
        "tables of leaf masks": lambda: by_tables.score(batch),
        "LightGBM's predict": lambda: booster.predict(X, raw_score=True, num_threads=1),
    }
    best = {way: cpu_seconds(run) for way, run in ways.items()}
    for _ in range(given.repeat):
        for way, run in ways.items():
            best[way] = min(best[way], cpu_seconds(run))
    first = best["ONNX Runtime's nodes"]
    for way, seconds in best.items():
        figures = {"way": way, "cpu_seconds": round(seconds, 3), "of_nodes": round(first / seconds, 2)}
        print(json.dumps(figures), flush=True)
    print(json.dumps({"making the tables, once": round(made, 3)}))


if __name__ == "__main__":
    main()
