"""The raw side of a plan: which leaves a table has, and each as the one value that both compilers start from.

The Spark compiler and the exported graph agree because they start from equal values: a number or a date is a
float64 (float32 where the table's own type is no wider) with NaN for missing, a string is a string with "" for
missing, an array is a row of float64. Null, NaN and "" are the same thing: missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.columns.names import col
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType, StructType

Storage = Literal["number", "integer", "boolean", "string", "date", "timestamp", "array", "vector"]
OnnxType = Literal["float", "double", "string"]

_SMALL = {"float", "tinyint", "smallint", "boolean"}
_INTEGERS = {"tinyint", "smallint", "int", "bigint"}
MICROSECONDS_A_DAY = 86_400_000_000


class RawInput(BaseModel):
    """One column that a plan reads: its path in the table and the tensor it is in the exported graph.

    The tensor is `[rows, width]`. Dates are days and timestamps microseconds since 1970-01-01 (UTC, or the wall
    clock for a timestamp without time zone), both float64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    path: tuple[str, ...]
    spark_type: str
    storage: Storage
    onnx_type: OnnxType
    width: int = Field(default=1, ge=1)
    missing: tuple[str, ...] = Field(
        default=(), description="Words that stand for a missing value; of a label of words and of categories."
    )
    number_marks: tuple[str, str, str, bool] | None = Field(
        default=None,
        description="Of numbers for people: what stands before fractions, between thousands and beside the number, and whether brackets are a minus.",
    )
    time_way: str | None = Field(default=None, description="How a date in text is written.")
    padded: int | None = Field(
        default=None,
        description="Of codes of digits: how many they all have, so that 7 is 007 where numbers arrive.",
    )
    planned: Storage | None = Field(
        default=None, exclude=True, description="Set where another table stands in: what the plan has here."
    )

    def value(self) -> Column:
        """Return the column as the value that the graph gets: NaN or "" where it is missing."""
        from pyspark.sql import functions as sf

        return self.value_of(col(*self.path)) if self.value_sql is None else sf.expr(self.value_sql)

    @property
    def value_sql(self) -> str | None:
        """What `value` returns as Spark's SQL, for the plainest types; built of functions it takes ten times as long."""
        raw = quoted(*self.path)
        if self.storage == "integer" and self.planned == "string" and self.padded:
            text = f"cast({raw} as string)"
            return f"coalesce(lpad({text}, greatest({self.padded}, length({text})), '0'), '')"
        if self.storage == "string" or self.planned == "string":
            return f"coalesce(cast({raw} as string), '')"
        if self.storage == "boolean":
            raw = f"cast({raw} as int)"
        elif self.storage not in ("number", "integer"):
            return None
        return f"coalesce(cast({raw} as double), double('NaN'))"

    def value_of(self, raw: Column) -> Column:
        """Return `raw`, of this input's type, as the value that the graph gets; for the types that `value_sql` leaves out."""
        from pyspark.sql import functions as sf

        if self.storage == "array":
            return sf.transform(
                sf.coalesce(raw.cast("array<double>"), sf.array().cast("array<double>")), nan_for_null
            )
        if self.storage == "vector":
            from pyspark.ml.functions import vector_to_array

            return sf.coalesce(vector_to_array(raw), sf.array().cast("array<double>"))
        if self.storage == "date":
            days = sf.unix_date(raw)
            raw = days.cast("bigint") * MICROSECONDS_A_DAY if self.planned == "timestamp" else days
        elif self.storage == "timestamp":
            raw = _wall_clock_micros(raw) if self.wall_clock else sf.unix_micros(raw)
        return nan_for_null(raw.cast("double"))

    @property
    def wall_clock(self) -> bool:
        """Whether the column is a timestamp without time zone."""
        return self.spark_type == "timestamp_ntz"


class Refused(BaseModel):
    """A column of a type that no feature is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    reason: str


def raw_inputs(schema: StructType) -> tuple[list[RawInput], list[Refused]]:
    """Return the leaves of `schema` that features can be made of, structs flattened by path, and the others.

    A leaf inside a struct is named by its path, `address.city`; where a top-level column already has that very
    name the leaf's gets a number.
    """
    from synml_dagster.columns.names import UniqueNames

    unique = UniqueNames(schema.fieldNames())
    found: list[RawInput] = []
    refused: list[Refused] = []
    for path, kind in _leaves(schema):
        name = path[0] if len(path) == 1 else unique(".".join(path))
        storage = _storage(kind)
        if storage is None:
            refused.append(Refused(column=name, reason=f"no feature is made of type {kind.simpleString()}"))
            continue
        found.append(
            RawInput(
                name=name,
                path=path,
                spark_type=kind.simpleString(),
                storage=storage,
                onnx_type=_onnx_type(storage, kind.simpleString()),
            )
        )
    return found, refused


def _leaves(schema: StructType, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], DataType]]:
    from pyspark.sql.types import StructType

    for field in schema.fields:
        path = (*before, field.name)
        if isinstance(field.dataType, StructType):
            yield from _leaves(field.dataType, path)
        else:
            yield path, field.dataType


def _storage(kind: DataType) -> Storage | None:
    from pyspark.sql import types

    name = kind.simpleString()
    if isinstance(kind, types.BooleanType):
        return "boolean"
    if isinstance(kind, types.DateType):
        return "date"
    if isinstance(kind, types.TimestampType | types.TimestampNTZType):
        return "timestamp"
    if name in _INTEGERS:
        return "integer"
    if name in ("float", "double") or name.startswith("decimal"):
        return "number"
    if isinstance(kind, types.StringType | types.CharType | types.VarcharType):
        return "string"
    if isinstance(kind, types.ArrayType) and isinstance(
        kind.elementType, types.NumericType | types.BooleanType
    ):
        return "array"
    return "vector" if type(kind).__name__ == "VectorUDT" else None


def _onnx_type(storage: str, spark_type: str) -> OnnxType:
    if storage == "string":
        return "string"
    return "float" if spark_type in _SMALL else "double"


def _wall_clock_micros(raw: Column) -> Column:
    """Casting to a timestamp would read the clock in the session's zone; its parts are the same in every zone."""
    from pyspark.sql import functions as sf

    minutes = (sf.unix_date(raw.cast("date")).cast("bigint") * 24 + sf.hour(raw)) * 60 + sf.minute(raw)
    return minutes * 60_000_000 + (sf.date_part(sf.lit("SECOND"), raw) * 1_000_000).cast("bigint")


def nan_for_null(value: Column) -> Column:
    """Return a float64 column with NaN where it is null."""
    from pyspark.sql import functions as sf

    return sf.coalesce(value, sf.lit(float("nan")))
