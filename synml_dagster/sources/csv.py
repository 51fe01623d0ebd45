"""Reads CSV files as text, record by record and column by name: nothing torn, nothing shifted, nothing cut."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError
from synml_dagster.sources.csv_dialect import HEAD_BYTES, WINDOWS, Dialect, dialect_of
from synml_dagster.sources.csv_records import BAD, marked_records, without_bad
from synml_dagster.sources.csv_types import typed_text
from synml_dagster.sources.folder_columns import Folders
from synml_dagster.sources.listing import data_files, is_hidden_file, spark_path
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_MOST_FILES = 2000


def read_csv(
    spark: SparkSession, path: str, options: dict[str, str], *, known: Mapping[str, str], notes: list[str]
) -> DataFrame:
    """Open the CSV files of `path`; what was guessed and which rows were left out is added to `notes`.

    Parameters
    ----------
    known
        Types that columns are known to have, see `read_source`.

    Raises
    ------
    SourceError
        A file is empty, has a header with a name twice, or has another header and no column of the first one's.
    """
    dialects = _dialects(path, options, notes)
    groups: dict[Dialect, list[str]] = {}
    for file, dialect in dialects.items():
        groups.setdefault(dialect, []).append(file)
    for dialect in groups:
        notes += [note for note in dialect.notes if note not in notes]
    kept = Folders.of(path, list(dialects))
    root, folders = kept.root, [name for name, _ in kept.kinds]
    frames = [
        _texts(spark, files if len(groups) > 1 else [path], dialect, options, root, folders)
        for dialect, files in groups.items()
    ]
    frame = frames[0]
    for other in frames[1:]:
        frame = frame.unionByName(_spelled_as(other, frame.columns), allowMissingColumns=True)
    _say_headers(groups, notes)
    frame = without_bad(frame, notes)
    infer = options.get("inferSchema", "true").casefold() == "true" and "nullValue" not in options
    return typed_text(frame, known, notes) if infer else frame


def _dialects(path: str, options: dict[str, str], notes: list[str]) -> dict[str, Dialect]:
    import fsspec

    try:
        files = list(data_files(path)[1])
    except (
        ImportError,
        OSError,
        ValueError,
    ):  # only Spark reaches it: its first lines cannot be looked at here
        raise SourceError(f"source: the files of {path!r} cannot be listed from this host") from None
    if not files:
        raise SourceError(f"source: {path!r} holds no files")
    if len(files) > _MOST_FILES:
        notes.append(
            f"{path!r} holds {len(files)} files; the headers of the first {_MOST_FILES} were looked at"
        )
    prefix = path.split("://", 1)[0] + "://" if "://" in path else ""

    def look(file: str) -> Dialect | None:
        with fsspec.open(prefix + file if prefix else file, "rb", compression="infer") as opened:
            head = opened.read(HEAD_BYTES)
        return dialect_of(head, file.rsplit("/", 1)[-1], options) if head.strip() else None

    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(look, files[:_MOST_FILES]))
    told = {(prefix + f if prefix else f): d for f, d in zip(files, found, strict=False) if d is not None}
    if not told:
        raise SourceError(f"source: {path!r} is an empty file")
    if len(told) < len(found):
        notes.append(f"{len(found) - len(told)} of the files of {path!r} are empty")
    return told


def _texts(
    spark: SparkSession,
    files: list[str],
    dialect: Dialect,
    options: dict[str, str],
    root: str,
    folders: list[str],
) -> DataFrame:
    from pyspark.sql import functions as sf
    from pyspark.sql.types import StringType, StructField, StructType

    has_header = options.get("header", "true").casefold() == "true"
    names = list(dialect.header) if has_header else [f"_c{i}" for i in range(len(dialect.header))]
    names = [name or f"_c{i}" for i, name in enumerate(names)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"source: the header of {files[0]!r} names {twice[0]!r} more than once; rename one")
    # As text: Spark would make a number of `code=007`.
    folders = [name for name in folders if name not in names]
    schema = StructType([StructField(name, StringType()) for name in [*names, BAD, *folders]])
    told = {
        "header": str(has_header).lower(),
        "multiLine": "true",
        "encoding": dialect.encoding,
        "sep": dialect.separator,
        "escape": dialect.escape,
        "quote": dialect.quote,
        **({"comment": dialect.comment} if dialect.comment else {}),
        "ignoreLeadingWhiteSpace": "true",
        "ignoreTrailingWhiteSpace": "true",
        "maxCharsPerColumn": "-1",
    }
    known = {key.casefold() for key in told}
    own = {
        k: v
        for k, v in options.items()
        if k.casefold() not in (known | {"inferschema", "delimiter", "charset"})
    }
    own |= {
        k: v
        for k, v in options.items()
        if k.casefold() in ("multiline", "ignoreleadingwhitespace", "ignoretrailingwhitespace")
    }
    fixed = {
        "mode": options.get("mode", "PERMISSIVE"),
        "columnNameOfCorruptRecord": BAD,
        "columnPruning": "false",
    }
    if len(files) == 1 and is_hidden_file(files[0]):
        frame = _by_driver(spark, files[0], schema, dialect, has_header)
    else:
        fixed |= {"basePath": spark_path(root)} if folders and "basepath" not in options else {}
        reader = spark.read.schema(schema).options(**(told | own | fixed))
        frame = reader.csv([spark_path(file) for file in files])
    if dialect.windows:
        here, there = "".join(WINDOWS), "".join(WINDOWS.values())
        read = {name: sf.translate(sf.col(quoted(name)), here, there) for name in [*names, BAD]}
        frame = frame.select(*(read.get(name, sf.col(quoted(name))).alias(name) for name in frame.columns))
    header = dialect.header if has_header else ()
    return marked_records(frame, names, header, dialect.separator)


def _say_headers(groups: dict[Dialect, list[str]], notes: list[str]) -> None:
    headers = {dialect.header: files for dialect, files in groups.items()}
    if len(headers) < 2:
        return
    first, *others = headers
    spelled = {name.casefold(): name for name in first}
    for other in others:
        file = headers[other][0].rsplit("/", 1)[-1]
        alike = [spelled.get(name.casefold(), name) for name in other]
        cases = [name for name, same in zip(other, alike, strict=True) if name != same]
        more, less = sorted(set(alike) - set(first)), sorted(set(first) - set(alike))
        if not set(alike) & set(first):
            raise SourceError(
                f"source: {file!r} has no column of the first file's header ({', '.join(first[:10])}); it has {', '.join(other[:10])}"
            )
        if cases:
            notes.append(
                f"{file!r} writes {cases[:5]} in other letters, upper or lower, than the first file; they are the same columns"
            )
        if more or less:
            said = [f"has {more[:5]} beside" * bool(more), f"lacks {less[:5]}" * bool(less)]
            notes.append(
                f"{file!r} {' and '.join(filter(None, said))}; what a file lacks is missing in its rows"
            )


def _spelled_as(frame: DataFrame, columns: list[str]) -> DataFrame:
    """The columns of `frame` under the names that those of another file have, where they differ in case alone."""
    known = {name.casefold(): name for name in columns}
    return frame.toDF(*(known.get(name.casefold(), name) for name in frame.columns))


def _by_driver(
    spark: SparkSession, file: str, schema: StructType, dialect: Dialect, has_header: bool
) -> DataFrame:
    """Read a file that Spark takes for another program's own, because its name begins with `_` or `.`, in this process."""
    import csv

    width = len(schema) - 1
    with open(
        file, encoding="utf-8-sig" if dialect.encoding == "UTF-8" else dialect.encoding, newline=""
    ) as opened:
        double = dialect.escape == '"'
        reader = csv.reader(
            opened,
            delimiter=dialect.separator,
            quotechar=dialect.quote or '"',
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            doublequote=double,
            escapechar=None if double else dialect.escape,
        )
        records = [record for record in reader if record][int(has_header) :]
    rows = [
        (
            *(cell.strip() or None for cell in [*record, *([""] * width)][:width]),
            None if len(record) == width else dialect.separator.join(record),
        )
        for record in records
    ]
    return spark.createDataFrame(rows, schema)
