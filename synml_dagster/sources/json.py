"""Whether JSON files hold a record a line, or records that span lines: an array, or indented objects."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError
from synml_dagster.sources.json_keys import check_keys
from synml_dagster.sources.listing import data_files, spark_path
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_HEAD = 64 * 1024
_MOST_FILES = 2000
_BAD = "_corrupt_record"


def read_json(spark: SparkSession, path: str, options: dict[str, str], notes: list[str]) -> DataFrame:
    """Open JSON files; records that are none are left out, and `notes` say how many and show one.

    Raises
    ------
    SourceError
        No record can be read, one object holds all rows, files are written in two ways, or in an encoding that would
        lose records.
    """
    from pyspark.sql import functions as sf

    told = {key.casefold() for key in options}
    if "multiline" not in told:
        options = options | ({"multiLine": "true"} if spans_lines(path) else {})
    frame = spark.read.format("json").options(**options).load(spark_path(path))
    _check_records(frame, path, notes)
    if _BAD not in frame.columns or {"mode", "columnnameofcorruptrecord"} & told:
        return frame
    others = [name for name in frame.columns if name != _BAD]
    if not others:
        raise SourceError(
            f"source: no record of {path!r} is JSON as Spark reads it: an object a line, or an array of objects"
        )
    # Spark asks for another column beside the one of bad records, and takes it away again where it sees that all rows fit.
    there = sf.xxhash64(sf.col(quoted(others[0]))) % 2 < 2
    row = frame.agg(
        sf.count(sf.col(_BAD)).alias("n"),
        sf.first(sf.col(_BAD), ignorenulls=True).alias("one"),
        sf.count_if(there).alias("rows"),
    ).first()
    if row is not None and row["n"]:
        notes.append(
            f"{row['n']} of {row['rows']} records are no JSON and are left out, such as {row['one'].strip()[:200]!r}"
        )
    return frame.where(sf.col(_BAD).isNull() & there).select(*map(quoted, others))


def _check_records(frame: DataFrame, path: str, notes: list[str]) -> None:
    """Refuse what is one object around all rows: a list of them under a key, or lists or objects of values by column.

    Where values stand beside such a list it may be a row that has a list in it, and `notes` say what was read.
    """
    from pyspark.sql import functions as sf
    from pyspark.sql.types import ArrayType, StructType

    fields = [f for f in frame.schema.fields if f.name != _BAD]
    lists = [f for f in fields if isinstance(f.dataType, ArrayType)]
    objects = [f.dataType.fieldNames() for f in fields if isinstance(f.dataType, StructType)]
    rows = [
        f.name
        for f in lists
        if isinstance(f.dataType, ArrayType) and isinstance(f.dataType.elementType, StructType)
    ]
    columns = len(fields) > 1 and len(lists) == len(fields)
    # A value of each row under its number, as pandas writes a frame that it is told nothing about.
    numbered = (
        len(fields) > 1
        and len(objects) == len(fields)
        and len(objects[0]) > 1
        and objects.count(objects[0]) == len(fields)
    )
    if not (rows or columns or numbered):
        return
    found = frame.limit(2).select([sf.size(quoted(f.name)) for f in lists] or sf.lit(1)).collect()
    if len(found) != 1:
        return
    columns = columns and found[0][0] > 1 and len(set(found[0])) == 1
    how = "If those are the rows, write an object for each, one a line or in an array, with pandas by to_json(orient='records', lines=True)"
    if columns or numbered or (rows and len(fields) == 1):
        what = (
            f"whose key {rows[0]!r} holds a list of objects"
            if len(fields) == 1
            else f"whose keys hold {'lists of one length' if columns else 'objects with the same keys'}: {', '.join(repr(f.name) for f in fields[:3])}"
        )
        raise SourceError(f"source: {path!r} is one object, {what}, and would be read as one row. {how}.")
    if rows:
        notes.append(
            f"{path!r} is one object, whose key {rows[0]!r} holds a list of objects, and is read as one row. {how}"
        )


def spans_lines(path: str) -> bool:
    """Return whether the data files of `path` begin with an array or with an object that goes on in the next line.

    Raises
    ------
    SourceError
        Some do and others do not, one is written in UTF-16 or UTF-32, or keys differ in case alone.
    """
    import fsspec

    try:
        files = list(data_files(path)[1])
        prefix = path.split("://", 1)[0] + "://" if "://" in path else ""

        def head_of(file: str) -> bytes:
            with fsspec.open(prefix + file, "rb", compression="infer") as opened:
                return opened.read(_HEAD)

        with ThreadPoolExecutor(max_workers=8) as pool:
            heads = list(pool.map(head_of, files[:_MOST_FILES]))
    except (ImportError, OSError, ValueError):  # Spark may reach it all the same, and says what is wrong
        return False
    found = {file: _spans(head, file) for file, head in zip(files, heads, strict=False) if head.strip()}
    check_keys(zip(files, heads, strict=False))
    if len({*found.values()}) > 1:
        by_line, spanning = (next(f for f, spans in found.items() if spans is way) for way in (False, True))
        raise SourceError(
            f"source: {by_line!r} holds a record a line and {spanning!r} an array or records of several lines. Write all files in one way."
        )
    return any(found.values())


def _spans(head_bytes: bytes, file: str) -> bool:
    if 0 in head_bytes[:100]:
        raise SourceError(
            f"source: {file!r} is written in UTF-16 or UTF-32, of which Spark loses records. Write it in UTF-8."
        )
    head = head_bytes.decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith("["):
        return True
    first, _, rest = head.partition("\n")
    try:
        json.loads(first)
    except ValueError:
        pass
    else:
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(head)
    except ValueError:  # longer than what was looked at
        return bool(rest)
    if head[end:].strip():
        raise SourceError(
            f"source: {file!r} holds one indented object after the other, of which Spark reads the first alone. Write them as an array, or one a line."
        )
    return True
