"""Rows with their answers: a value or an error for each, from the journal and the run's ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError
from synml_dagster.services.engine.outcome import REASONS
from synml_dagster.services.run import Run
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ERROR = "struct<reason:string,status:int,message:string,attempts:int,request_id:string>"
"""The type of the column of errors."""

USAGE = "struct<input_tokens:bigint,output_tokens:bigint,cached_tokens:bigint,cost:double>"
"""The type of the column of usage."""


_KEY, _VALUE, _ERROR, _USAGE = "__synml_key", "__synml_value", "__synml_error", "__synml_usage"


def check_outputs(frame: DataFrame, output: str, usage: bool) -> None:
    """Refuse names of answers that the table has columns of.

    Raises
    ------
    ConfigError
        It names the column.
    """
    names = [output, f"{output}_error", *([f"{output}_usage"] if usage else [])]
    there = {name.casefold() for name in frame.columns}
    for name in names:
        if name.casefold() in there:
            raise ConfigError(
                f"output: the table has a column {name!r} already; choose another name, or leave that column out"
            )


def joined_rows(frame: DataFrame, row_key: Column, run: Run, output: str, usage: bool) -> DataFrame:
    """Return rows with the columns `output`, `<output>_error`, and `<output>_usage` where it is asked for.

    Parameters
    ----------
    frame, row_key
        The rows, and what makes the key of each.
    run
        Whose journal and ledger say what became of them.
    output, usage
        As for `call_service`.
    """
    from pyspark.sql import functions as sf

    taken = {name.casefold() for name in frame.columns}
    own = next(name for name in (f"__service_key{i}" for i in range(len(taken) + 1)) if name not in taken)
    keyed = frame.withColumn(own, row_key)
    usage_of = sf.struct("input_tokens", "output_tokens", "cached_tokens", "cost").cast(USAGE)
    done = run.answers().select(
        sf.col("key").alias(_KEY),
        sf.col("value").alias(_VALUE),
        sf.lit(None).cast(ERROR).alias(_ERROR),
        usage_of.alias(_USAGE),
    )
    said = sf.struct("reason", "status", "message", "attempts", "request_id").cast(ERROR)
    nothing = sf.lit(None).cast(done.schema[_VALUE].dataType)
    failed = run.ledger().where("reason IS NOT NULL")
    failed = failed.select(
        sf.col("key").alias(_KEY), nothing.alias(_VALUE), said.alias(_ERROR), usage_of.alias(_USAGE)
    )
    both = keyed.join(done.union(failed), sf.col(quoted(own)) == sf.col(_KEY), "left")
    lost = sf.struct(
        sf.lit("not_sent").alias("reason"), sf.lit(None).cast("int").alias("status"), sf.lit(REASONS["not_sent"]).alias("message"),
        sf.lit(0).alias("attempts"), sf.lit(None).cast("string").alias("request_id"),
    ).cast(ERROR)  # fmt: skip
    error = sf.when(sf.col(_KEY).isNull(), lost).otherwise(sf.col(_ERROR))
    more = [sf.col(_USAGE).alias(f"{output}_usage")] if usage else []
    kept = [sf.col(quoted(name)) for name in frame.columns]
    return both.select(*kept, sf.col(_VALUE).alias(output), error.alias(f"{output}_error"), *more)
