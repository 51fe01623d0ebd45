"""Times feature assembly of an Adult-like table beside a bare Parquet copy and beside pyspark.ml, in one Spark session.

python bench/features/run.py --rows 1000000 --repeat 3
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import functions as sf

from synml_dagster.features import assemble, assemble_files, fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import publish_files

WORDS = {
    "workclass": 9,
    "education": 16,
    "marital": 7,
    "occupation": 15,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "country": 42,
}
NUMBERS = ["age", "weight", "years", "gain", "loss", "hours"]


def adult_like(spark, rows: int):
    """Eight columns of words with skewed frequencies, six of numbers, 2 % of all values missing."""
    df = spark.range(0, rows, 1, 4)
    for i, (name, k) in enumerate(WORDS.items()):
        word = sf.concat(sf.lit(f"{name} "), sf.floor(sf.pow(sf.rand(i), 2) * k).cast("string"))
        df = df.withColumn(name, sf.when(sf.rand(100 + i) > 0.02, word))
    for i, name in enumerate(NUMBERS):
        df = df.withColumn(name, sf.when(sf.rand(200 + i) > 0.02, sf.floor(sf.randn(50 + i) * 20 + 50)))
    return df.withColumn(
        "income", sf.when(sf.col("age") + sf.randn(9) * 20 > 60, ">50K").otherwise("<=50K")
    ).drop("id")


def timed(run: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    out = run()
    took = time.perf_counter() - start
    print(f"  {took:.2f} s", end="", flush=True)
    return took, out


def by_spark_ml(df):
    """Fit StringIndexer, Imputer and VectorAssembler."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import Imputer, StringIndexer, VectorAssembler

    words = [f"{w}_code" for w in WORDS]
    numbers = [f"{n}_full" for n in NUMBERS]
    stages = [
        StringIndexer(inputCols=list(WORDS), outputCols=words, handleInvalid="keep"),
        Imputer(inputCols=NUMBERS, outputCols=numbers),
        VectorAssembler(inputCols=words + numbers, outputCol="features", handleInvalid="keep"),
    ]
    return Pipeline(stages=stages).fit(df)


def by_tasks(spark, files, plan, folder):
    """Assemble and publish as the pipeline does from files."""
    made = assemble_files(spark, files, plan)
    assert made is not None
    return publish_files(spark, made, Path(folder) / "by-tasks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    said = parser.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    with tempfile.TemporaryDirectory() as folder:
        raw = str(Path(folder) / "raw")
        adult_like(spark, said.rows).write.parquet(raw)
        df = spark.read.parquet(raw)
        files = ParquetFiles(tuple(sorted(map(str, Path(raw).glob("*.parquet")))))

        def write(frame, name: str) -> None:
            frame.write.mode("overwrite").parquet(str(Path(folder) / name))

        seconds: dict[str, list[float]] = {}
        for _ in range(said.repeat + 1):  # the first round warms the session up
            took, _ = timed(lambda: write(df, "copy"))
            seconds.setdefault("bare Parquet copy", []).append(took)
            took, _ = timed(lambda: fit_plan(files, name="adult", label="income"))
            seconds.setdefault("fit_plan, from files", []).append(took)
            took, plan = timed(lambda: fit_plan(df, name="adult", label="income"))
            seconds.setdefault("fit_plan, from rows", []).append(took)
            took, _ = timed(lambda: write(assemble(df, plan, training=False), "ours"))  # noqa: B023
            seconds.setdefault("assemble, write", []).append(took)
            took, _ = timed(lambda: write(assemble(df, plan), "training"))  # noqa: B023
            seconds.setdefault("assemble with label and split, write", []).append(took)
            took, _ = timed(lambda: by_tasks(spark, files, plan, folder))  # noqa: B023
            seconds.setdefault("the same, by tasks that read files", []).append(took)
            took, model = timed(lambda: by_spark_ml(df))
            seconds.setdefault("pyspark.ml fit", []).append(took)
            took, _ = timed(lambda: write(model.transform(df).select("features"), "ml"))  # noqa: B023
            seconds.setdefault("pyspark.ml transform, write", []).append(took)
    print()
    copy = statistics.median(seconds["bare Parquet copy"][1:])
    print(
        f"{said.rows} rows, {len(WORDS)} columns of words, {len(NUMBERS)} of numbers; median of {said.repeat}"
    )
    for name, values in seconds.items():
        middle = statistics.median(values[1:])
        print(f"{name:40s} {middle:7.2f} s   {middle / copy:5.2f} x copy   (least {min(values[1:]):.2f} s)")
    spark.stop()


if __name__ == "__main__":
    main()
