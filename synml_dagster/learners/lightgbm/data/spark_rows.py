"""A user's DataFrame made ready for ranks: the features as one list of floats, each row marked with its rank.

One column of lists costs a plan, a shuffle and Arrow the same for ten thousand features as for ten, and a rank maps it
into memory as the matrix that LightGBM reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType, StructType

FEATURES = "features"
VALID = "valid"
TASK = "task"


def check_columns(schema: StructType, wanted: Sequence[str], role: str) -> None:
    """Raise DataError where a column is not in the table."""
    names = schema.fieldNames()
    known = set(names)  # thousands of columns are asked for
    for name in wanted:
        if name not in known:
            raise DataError(f"{role}: the table has no column {name!r}.{did_you_mean(name, names)}")


def check_numeric(schema: StructType, wanted: Sequence[str], role: str) -> None:
    """Raise DataError where a column is neither a number nor a boolean."""
    from pyspark.sql.types import BooleanType, NumericType

    kinds: dict[str, DataType] = {column.name: column.dataType for column in schema.fields}
    for name in wanted:
        kind = kinds[name]
        if not isinstance(kind, NumericType | BooleanType):
            raise DataError(
                f"{role}: column {name!r} is {kind.simpleString()}; LightGBM learns from numbers. Encode it first (a categorical column as whole numbers from 0), or leave it out."
            )


def check_vector(schema: StructType, column: str) -> None:
    """Raise where `column` cannot hold the features of a row: it is neither a vector nor an array of numbers."""
    from pyspark.sql.types import ArrayType, BooleanType, NumericType

    check_columns(schema, [column], "features")
    kind = schema[column].dataType
    numbers = isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType | BooleanType)
    if not numbers and not is_vector(schema, column):
        raise DataError(
            f"features: column {column!r} is {kind.simpleString()}, and one column of features is a vector or an array of numbers. Name columns of numbers as a list: features=[{column!r}]."
        )


def is_vector(schema: StructType, column: str) -> bool:
    """Return whether the column holds Spark's vectors."""
    return type(schema[column].dataType).__name__ == "VectorUDT"


def vector_width(frame: DataFrame, column: str) -> tuple[int, float]:
    """Return how many values each row of a column of vectors or arrays has, and how many it stores on average.

    Raises
    ------
    DataError
        No row has a value, or rows differ.
    """
    from pyspark.sql import functions as sf

    if is_vector(frame.schema, column):
        sizes = frame.select(sf.col(quoted(column)).alias("v")).mapInArrow(
            _vector_sizes, "low long, high long, stored long, rows long"
        )
    else:
        size = sf.when(sf.col(quoted(column)).isNotNull(), sf.size(quoted(column))).cast("long")
        sizes = frame.select(size.alias("low"), size.alias("high"), size.alias("stored"))
        sizes = sizes.withColumn("rows", sf.lit(1))
    asked = sizes.agg(sf.min("low"), sf.max("high"), sf.sum("stored") / sf.sum("rows"))
    (found,) = asked.toDF("low", "high", "stored").collect()
    if not found["high"]:
        raise DataError(f"features: column {column!r} holds no values.")
    if found["low"] != found["high"]:
        raise DataError(
            f"features: rows of column {column!r} hold from {found['low']} to {found['high']} values; all need as many."
        )
    return int(found["high"]), float(found["stored"])


def _vector_sizes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        vectors = batch.column(0)
        stored = pc.list_value_length(pc.struct_field(vectors, "values"))
        sizes = pc.min_max(pc.coalesce(pc.struct_field(vectors, "size"), stored)).as_py()
        found = {
            "low": sizes["min"],
            "high": sizes["max"],
            "stored": pc.sum(stored).as_py(),
            "rows": len(batch),
        }
        yield pa.RecordBatch.from_pydict({k: pa.array([v], pa.int64()) for k, v in found.items()})


def feature_list(schema: StructType, features: Sequence[str], vector: str | None = None) -> Column:
    """Return the features of a row as one list of floats, NaN where they are missing.

    `features` name columns; where `vector` is given, they name the places of that one column.
    """
    from pyspark.sql import functions as sf

    missing = sf.lit(float("nan")).cast("float")
    if vector is None:
        return sf.array(*[sf.coalesce(sf.col(quoted(name)).cast("float"), missing) for name in features])
    values = _values_of(schema, vector).cast("array<float>")
    known = sf.transform(values, lambda value: sf.coalesce(value, missing))
    told = f"features: a row of column {vector!r} does not hold {len(features)} values as those of the training do"
    return (
        sf.when(sf.col(quoted(vector)).isNull(), sf.array_repeat(missing, len(features)))
        .when(sf.size(values) == len(features), known)
        .otherwise(sf.raise_error(sf.lit(told)))
    )


def _values_of(schema: StructType, column: str) -> Column:
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as sf
    from pyspark.sql.types import ArrayType

    values = sf.col(quoted(column))
    return values if isinstance(schema[column].dataType, ArrayType) else vector_to_array(values, "float32")


def rank_columns(
    frame: DataFrame,
    features: Sequence[str],
    vector: str | None,
    label: str,
    weight: str | None,
    group: str | None,
    init: Sequence[str],
    label_is_text: bool,
    sparse: bool,
) -> list[Column]:
    """Return the columns that ranks take: FEATURES (absent where there are no features), then the extras of the layout.

    FEATURES are floats without nulls, or the vectors themselves where they are `sparse`.
    """
    from pyspark.sql import functions as sf

    columns = []
    if features:
        if sparse and vector is not None:
            values = sf.col(quoted(vector))
        else:
            values = feature_list(frame.schema, features, vector)
        columns.append(values.alias(FEATURES))
    columns.append(sf.col(quoted(label)).cast("string" if label_is_text else "double").alias("label"))
    if weight is not None:
        columns.append(sf.col(quoted(weight)).cast("double").alias("weight"))
    if group is not None:
        columns.append(sf.when(sf.col(quoted(group)).isNotNull(), sf.xxhash64(quoted(group))).alias("group"))
    columns += [sf.col(quoted(name)).cast("double").alias(f"init{i}") for i, name in enumerate(init)]
    return columns


def check_marks(schema: StructType, column: str) -> None:
    """Raise where `column` cannot mark the validation rows."""
    from pyspark.sql.types import BooleanType

    check_columns(schema, [column], "validation")
    if not isinstance(schema[column].dataType, BooleanType):
        raise ConfigError(
            f"validation: column {column!r} is {schema[column].dataType.simpleString()} and must be boolean: true marks a validation row."
        )


def to_ranks(
    marked: DataFrame, ranks: int, grouped: bool, first_rows: Sequence[tuple[int, int]] | None = None
) -> DataFrame:
    """Return `ranks` partitions: training rows spread evenly (groups whole), all validation rows in the first.

    `marked` has the columns of `rank_columns` and VALID; those that come out end with VALID and TASK. With `first_rows`,
    each later rank's first row as (partition, training row in it), ranks hold the table's rows in order.
    """
    from pyspark.sql import functions as sf

    if first_rows is not None:
        return _in_order(marked, ranks, first_rows)

    if ranks == 1:
        return marked.withColumn(TASK, sf.spark_partition_id()).repartition(1)
    place = sf.when(sf.col(VALID), sf.lit(_keys(ranks)[0])).otherwise(_place(ranks, grouped))
    spread = marked.select("*", sf.spark_partition_id().alias(TASK), place.alias("to")).repartition(
        ranks, "to"
    )
    return spread.drop("to")


def row_number() -> Column:
    """The rows of a frame numbered in order: the partition's number times 2^33, and the row's in it."""
    from pyspark.sql import functions as sf

    return sf.monotonically_increasing_id()


def _in_order(marked: DataFrame, ranks: int, first_rows: Sequence[tuple[int, int]]) -> DataFrame:
    from pyspark.sql import functions as sf

    keys = sf.array(*[sf.lit(k) for k in _keys(ranks)])
    train = marked.where(~sf.col(VALID)).select("*", row_number().alias("number"))
    rank = sf.lit(0)
    for partition, row in first_rows:
        rank = rank + (sf.col("number") >= sf.lit((partition << 33) + row)).cast("int")
    task = sf.shiftright("number", 33).cast("int").alias(TASK)
    train = train.select("*", task, sf.element_at(keys, rank + 1).alias("to")).drop("number")
    held_out = marked.where(sf.col(VALID)).select(
        "*", sf.spark_partition_id().alias(TASK), sf.lit(_keys(ranks)[0]).alias("to")
    )
    return train.unionByName(held_out).repartition(ranks, "to").drop("to")


def _place(ranks: int, grouped: bool) -> Column:
    """The rank of each row, as the key that Spark's hash partitioner sends there."""
    from pyspark.sql import functions as sf

    if grouped:
        number = sf.pmod(sf.col("group"), sf.lit(ranks))
    else:  # each partition begins with another rank, so that many small ones do not all feed the first
        number = sf.pmod(sf.monotonically_increasing_id() + sf.spark_partition_id(), sf.lit(ranks))
    return sf.element_at(sf.array(*[sf.lit(k) for k in _keys(ranks)]), (number + 1).cast("int"))


def _keys(ranks: int) -> list[int]:
    """Return for each partition a number that Spark's hash partitioner puts there."""
    keys: dict[int, int] = {}
    candidate = 0
    while len(keys) < ranks:
        keys.setdefault(_murmur3(candidate) % ranks, candidate)
        candidate += 1
    return [keys[rank] for rank in range(ranks)]


def _murmur3(value: int, seed: int = 42) -> int:
    """Spark's `hash` of an int: MurmurHash3 x86 32 by Austin Appleby, as a signed number."""
    mask = 0xFFFFFFFF

    def rotated(x: int, by: int) -> int:
        return ((x << by) | (x >> (32 - by))) & mask

    k = rotated((value * 0xCC9E2D51) & mask, 15) * 0x1B873593 & mask
    h = (rotated(seed ^ k, 13) * 5 + 0xE6546B64) & mask
    h ^= 4
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & mask
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & mask
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h
