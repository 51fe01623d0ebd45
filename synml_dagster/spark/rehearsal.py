"""What a pipeline asks of Spark, in small: run once, in a process of its own, for the archive of classes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from synml_dagster.spark.session import SparkSettings, open_session


def rehearse(part: str, quiet: str) -> None:
    """Use Spark as a pipeline does, so that its JVM writes the classes that a pipeline needs to `part` when it ends."""
    options = {"spark.driver.extraJavaOptions": f"-XX:ArchiveClassesAtExit={part} {quiet}"}
    spark = open_session(SparkSettings(master="local[2]", conf=options))
    from pyspark.sql import functions as sf

    with tempfile.TemporaryDirectory(prefix="synml-rehearsal-") as folder:
        text = Path(folder) / "table.csv"
        rows = "".join(f"{i},{i / 7},word {i % 5},2024-01-{i % 28 + 1:02}\n" for i in range(200))
        text.write_text("id,x,word,day\n" + rows, encoding="utf-8")
        table = spark.read.csv(str(text), header=True, inferSchema=True)
        table.repartition(2).write.partitionBy("word").parquet(f"{folder}/table")
        table = spark.read.parquet(f"{folder}/table")
        figures = [
            sf.count("*"),
            sf.avg("x"),
            sf.stddev("x"),
            sf.percentile_approx("x", [0.1, 0.9]),
            sf.approx_count_distinct("id"),
            sf.collect_set("word"),
        ]
        table.groupBy("day").agg(*figures).orderBy("day").limit(5).collect()
        hashed = table.select(
            sf.pmod(sf.xxhash64("id", "word"), sf.lit(100)).alias("ticket"),
            sf.create_map(sf.lit("word 1"), sf.lit(1.0))[sf.col("word")].alias("index"),
            sf.year("day").alias("year"),
        )
        hashed.mapInArrow(lambda batches: batches, hashed.schema).count()
        hashed.repartition(1).mapInArrow(lambda batches: batches, hashed.schema, barrier=True).toArrow()
    spark.stop()
