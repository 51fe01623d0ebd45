"""Reads Parquet files whose columns and types differ, and types that Spark has no word for, as one table."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError
from synml_dagster.files.parquet_files import in_old_calendar, open_parquet
from synml_dagster.sources.folder_columns import Folders
from synml_dagster.sources.listing import data_files, spark_path

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_MOST_FILES = 2000


def read_parquet(spark: SparkSession, path: str, notes: list[str]) -> DataFrame:
    """Open the Parquet files of `path`: by Spark where it reads them as they are, else by tasks that read them with pyarrow.

    Columns are found by name. A column that is whole in one file and has fractions in the next has fractions; one that a
    file lacks is missing in its rows, and `notes` say so.

    Raises
    ------
    SourceError
        A column is of types in two files that have no common one, or a file has two of one name.
    """
    by_spark = spark.read.parquet
    try:
        files = list(data_files(path)[1])
        prefix = path.split("://", 1)[0] + "://" if "://" in path else ""
        names = [prefix + file for file in files]
        if not 0 < len(names) <= _MOST_FILES:
            return by_spark(spark_path(path))
        with ThreadPoolExecutor(max_workers=8) as pool:
            opened = list(pool.map(open_parquet, names))
    except SourceError as problem:
        if "magic bytes" in str(problem) or " 0 bytes" in str(problem):  # of these Spark says less
            raise SourceError(f"source: {problem}") from problem
        return by_spark(spark_path(path))
    except (ImportError, OSError, ValueError):
        return by_spark(spark_path(path))
    folders = Folders.of(path, names)
    schemas = [file.schema_arrow for file in opened]
    for schema, file in zip(schemas, names, strict=True):
        _check_names(schema.names, file)
    if any(in_old_calendar(file.metadata) for file in opened):
        return by_spark(spark_path(path))
    strange = any(_strange(kind) for schema in schemas for kind in schema.types)
    if not strange and all(_same(schema, schemas[0]) for schema in schemas):
        return _with_codes(spark, by_spark(spark_path(path)), path, folders)
    wanted = _union(schemas, names, notes)
    for name, kind in folders.types.items():  # before what a file may hold under the same name
        at = wanted.get_field_index(name)
        field = _field(name, kind)
        wanted = wanted.append(field) if at < 0 else wanted.set(at, field)
    return _by_tasks(spark, names, wanted, folders)


def _check_names(names: list[str], file: str) -> None:
    """Of two columns of one name Spark says no more than that it cannot read the file."""
    folded: dict[str, str] = {}
    for name in names:
        if name.casefold() in folded:
            raise SourceError(
                f"source: {file.rsplit('/', 1)[-1]!r} has two columns {folded[name.casefold()]!r} and {name!r}, which have one name to Spark; rename one"
            )
        folded[name.casefold()] = name


def _field(name: str, kind: pa.DataType) -> pa.Field:
    import pyarrow as pa

    return pa.field(name, kind)


def _with_codes(spark: SparkSession, frame: DataFrame, path: str, folders: Folders) -> DataFrame:
    """The table with those columns of its folders as text of which Spark would make numbers that say less."""
    import pyarrow as pa
    from pyspark.sql.types import NumericType, StringType, StructField, StructType

    texts = {name for name, kind in folders.types.items() if pa.types.is_string(kind)}
    lost = [f for f in frame.schema if f.name in texts and isinstance(f.dataType, NumericType)]
    if not lost:
        return frame
    told = [StructField(f.name, StringType()) if f in lost else f for f in frame.schema]
    return spark.read.schema(StructType(told)).parquet(spark_path(path))


def _same(one: pa.Schema, other: pa.Schema) -> bool:
    return one.names == other.names and one.types == other.types


def _strange(kind: pa.DataType) -> bool:
    """Whether Spark refuses a type, or reads it as another."""
    import pyarrow as pa

    t = pa.types
    if t.is_timestamp(kind):
        return kind.unit == "ns"
    if t.is_nested(kind) and not t.is_dictionary(kind):
        return any(_strange(kind.field(i).type) for i in range(kind.num_fields))
    return (
        t.is_null(kind)
        or t.is_time(kind)
        or t.is_float16(kind)
        or t.is_decimal256(kind)
        or t.is_duration(kind)
        or isinstance(kind, pa.BaseExtensionType)
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that Spark has for the values of a type."""
    import pyarrow as pa

    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else _plain(kind.storage_type)
    if t.is_dictionary(kind):
        return _plain(kind.value_type)
    if t.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if t.is_null(kind) or t.is_time(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return pa.string()
    if t.is_float16(kind):
        return pa.float32()
    if t.is_decimal256(kind):
        return pa.float64()
    if t.is_duration(kind) or t.is_uint32(kind):
        return pa.int64()
    if t.is_uint8(kind):
        return pa.int16()
    if t.is_uint16(kind):
        return pa.int32()
    if t.is_uint64(kind):
        return pa.decimal128(20, 0)
    if t.is_struct(kind):
        return pa.struct([(kind.field(i).name, _plain(kind.field(i).type)) for i in range(kind.num_fields)])
    if t.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def _union(schemas: list[pa.Schema], files: list[str], notes: list[str]) -> pa.Schema:
    import pyarrow as pa

    found: dict[str, pa.DataType] = {}
    nowhere: set[str] = set()
    for schema, file in zip(schemas, files, strict=True):
        for field in schema:
            if pa.types.is_null(field.type):
                nowhere.add(field.name)
                continue
            kind = _plain(field.type)
            before = found.get(field.name)
            found[field.name] = kind if before is None else _wider(before, kind, field.name, file, notes)
    order = list(dict.fromkeys(name for schema in schemas for name in schema.names))
    folded: dict[str, str] = {}
    for name in order:
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise SourceError(
                f"source: columns {other!r} and {name!r} of its files have one name to Spark; rename one"
            )
        lacking = [f for s, f in zip(schemas, files, strict=True) if name not in s.names]
        if lacking:
            notes.append(
                f"column {name!r} is not in {len(lacking)} of {len(files)} files, such as {lacking[0].rsplit('/', 1)[-1]!r}; it is missing in their rows"
            )
    return pa.schema([(name, found.get(name, pa.string())) for name in order])


def _wider(one: pa.DataType, other: pa.DataType, name: str, file: str, notes: list[str]) -> pa.DataType:
    import pyarrow as pa

    if one == other:
        return one
    t = pa.types

    def numeric(kind: pa.DataType) -> bool:
        return t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind)

    def said(kind: pa.DataType) -> pa.DataType:
        note = f"column {name!r} is {one} in one file and {other} in {file.rsplit('/', 1)[-1]!r}; it is read as {kind}"
        if not any(n.startswith(f"column {name!r} is {one} in one file") for n in notes):
            notes.append(note)
        return kind

    if t.is_integer(one) and t.is_integer(other):
        return one if one.bit_width > other.bit_width else other
    if numeric(one) and numeric(other):
        return said(pa.float64())
    if t.is_timestamp(one) and t.is_timestamp(other):
        return said(pa.timestamp("us", tz="UTC"))
    if {t.is_date(one), t.is_date(other)} == {True, False} and (t.is_timestamp(one) or t.is_timestamp(other)):
        return said(one if t.is_timestamp(one) else other)
    single = (t.is_string, t.is_boolean)
    if all(numeric(k) or any(is_(k) for is_ in single) for k in (one, other)):
        return said(pa.string())
    raise SourceError(
        f"source: column {name!r} is {one} in one file and {other} in {file!r}, which have no common type. Write it in one type."
    )


def _by_tasks(spark: SparkSession, files: list[str], wanted: pa.Schema, folders: Folders) -> DataFrame:
    import pyarrow as pa
    from pyspark.errors import PySparkTypeError
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    schema = StructType()
    for field in wanted:
        try:
            schema = StructType([*schema, *from_arrow_schema(pa.schema([field]), prefer_timestamp_ntz=True)])
        except PySparkTypeError as problem:
            raise SourceError(
                f"source: column {field.name!r} of its files is {field.type}, which Spark has no type for. Write it as another one, or leave it out."
            ) from problem
    task = _ReadFiles(wanted.serialize().to_pybytes(), folders)
    paths = spark.createDataFrame([(file,) for file in files], "path string").repartition(
        min(len(files), 200)
    )
    return paths.mapInArrow(task, schema)


@dataclass(frozen=True)
class _ReadFiles:
    """Reads the files that rows name, each in batches of the one schema. Runs on executors: pyarrow only."""

    schema: bytes
    folders: Folders

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        from synml_dagster.files.parquet_files import open_parquet

        schema = pa.ipc.read_schema(pa.py_buffer(self.schema))
        for batch in batches:
            for path in batch.column(0).to_pylist():
                told = self.folders.values(path)
                for rows in open_parquet(path).iter_batches(batch_size=16_384):
                    there = set(rows.schema.names)
                    columns = [
                        pa.array([told[field.name]] * rows.num_rows, field.type)
                        if field.name in told
                        else _cast(rows.column(field.name), field.type, field.name, path)
                        if field.name in there
                        else pa.nulls(rows.num_rows, field.type)
                        for field in schema
                    ]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, wanted: pa.DataType, name: str, path: str) -> pa.Array:
    import uuid

    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        if column.type.extension_name == "arrow.uuid":
            raw = column.storage.to_pylist()
            return pa.array([None if v is None else str(uuid.UUID(bytes=v)) for v in raw], pa.string())
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == wanted:
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), wanted)
    if pa.types.is_decimal(column.type) and pa.types.is_floating(wanted):
        return column.cast(pa.string()).cast(wanted)
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(wanted):
        if column.type.unit == "ns":
            if (
                column.type.tz is not None
            ):  # else it is the local clock that is rounded, which shows an hour of autumn twice
                column = column.cast(pa.timestamp("ns", tz="UTC"))
            column = pc.floor_temporal(column, unit="microsecond")
        return column.cast(wanted, safe=False)
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    if pa.types.is_floating(wanted) and pa.types.is_integer(column.type):
        return column.cast(wanted, safe=False)
    try:
        return column.cast(
            wanted, safe=not pa.types.is_nested(wanted)
        )  # nanoseconds inside lose their last digits
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise SourceError(
            f"source: column {name!r} of {path!r} cannot be read as {wanted}: {problem}"
        ) from problem
