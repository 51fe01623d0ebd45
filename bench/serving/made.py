"""The model and the requests of this benchmark: a table of the shape of the Adult census, 100 trees of 31 leaves."""

from __future__ import annotations

import json
from pathlib import Path

from bench.onnx.scoring import make_model, words_table


class _NoMetrics:
    def save(self, directory: str | Path) -> None:
        (Path(directory) / "metrics.json").write_text("{}")


def make_bundle(folder: Path, trees: int = 100) -> None:
    """Write a bundle as a pipeline does, and rows of its table as JSON."""
    from synml_dagster.export import write_bundle
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[2]"))
    table = words_table(200_000)
    plan, model, graph = make_model(spark, table, trees)
    write_bundle(folder, plan, model, graph, _NoMetrics())
    spark.stop()
    rows = table.drop_columns(["label"]).slice(0, 1000).to_pylist()
    (folder / "rows.json").write_text(json.dumps(rows))


def body(folder: Path, rows: int) -> str:
    """Return a request of so many rows."""
    return json.dumps({"dataframe_records": json.loads((folder / "rows.json").read_text())[:rows]})
