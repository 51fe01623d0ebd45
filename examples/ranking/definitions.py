"""The code location: one pipeline, described in Python."""

from pathlib import Path

import dagster as dg

from synml_dagster import MLPipeline

search = MLPipeline(
    name="search",
    source=str(Path(__file__).parent / "data" / "shown.parquet"),
    label="grade",
    task="ranking",
    group="query",
    features={"exclude": ["document"]},
    sweep={"trials": 4},
    score={"keep": ["query", "document"]},
    promote={"metric": "ndcg@10", "minimum_gain": 0.001},
)

# One process and so one Spark for all steps; with SPARK_REMOTE, leave the executor out.
defs = dg.Definitions.merge(search.definitions(), dg.Definitions(executor=dg.in_process_executor))
