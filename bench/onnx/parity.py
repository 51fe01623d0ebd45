"""Scores 100,000 rows and the adversarial ones by the exported graph and by Spark's own path, and compares.

python -m bench.onnx.parity --rows 100000 --trees 100 --table words
"""

from __future__ import annotations

import argparse
import json

from bench.onnx.scoring import make_model, numeric_table, words_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--table", choices=["numeric", "words"], default="words")
    given = parser.parse_args()

    from synml_dagster.export import check_parity
    from synml_dagster.spark import SparkSettings, open_session

    spark = open_session(SparkSettings(master="local[2]"))
    table = numeric_table(given.rows) if given.table == "numeric" else words_table(given.rows)
    plan, model, graph = make_model(spark, table, given.trees)
    found = check_parity(spark, plan, model, graph, spark.createDataFrame(table), rows=given.rows)
    told = {
        name: getattr(found, name)
        for name in ("rows", "adversarial_rows", "labels_different", "rows_different")
    }
    print(
        json.dumps(
            {"table": given.table, "trees": given.trees, **told, "max_difference": found.max_difference}
        )
    )
    spark.stop()


if __name__ == "__main__":
    main()
