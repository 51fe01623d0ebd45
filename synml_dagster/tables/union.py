"""Several tables read as one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.files.parquet_files import spark_path
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables.plain_folder import RUN
from synml_dagster.tables.table import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_AS_IT_STANDS = re.compile(r"[\w-][\w.-]*", re.ASCII)


def unioned(frames: Sequence[DataFrame]) -> DataFrame:
    """Return the rows of all frames, at least one; columns that some lack are null in their rows.

    Two by two, and these again: a plan as deep as there are frames would end Spark's analysis at some hundred of them.
    """
    while len(frames) > 1:
        twos = [frames[i : i + 2] for i in range(0, len(frames), 2)]
        frames = [
            two[0].unionByName(two[1], allowMissingColumns=True) if len(two) > 1 else two[0] for two in twos
        ]
    return frames[0]


def together(tables: Sequence[Table]) -> Table:
    """Return several tables, at least one, as one."""
    return tables[0] if len(tables) == 1 else TableUnion.of(tables)


@dataclass(frozen=True)
class TableUnion(Table):
    """Several tables of one schema, read as one: the partitions of an asset, for example.

    Columns that some of them lack are null in their rows; the schema is that of all of them together.
    """

    parts: tuple[Table, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Table]) -> TableUnion:
        """Return the union of `parts`, which are at least one.

        Raises
        ------
        DataError
            A column has one type here and another there, or the tables are laid out by different columns.
        """
        fields: dict[str, dict[str, Any]] = {}
        for part in parts:
            for item in json.loads(part.schema_json)["fields"]:
                known = fields.setdefault(item["name"], item)
                if known["type"] != item["type"]:
                    raise DataError(
                        f"the column {item['name']!r} is {item['type']} in {part.root!r} and {known['type']} in "
                        "another partition of the same table. Materialize the older ones again."
                    )
            if part.partition_by != parts[0].partition_by:
                raise DataError(
                    f"{part.root!r} is laid out by {list(part.partition_by)} and {parts[0].root!r} by {list(parts[0].partition_by)}"
                )
        return cls(
            root=parts[0].root,
            version="+".join(part.version for part in parts),
            rows=sum(part.rows for part in parts),
            schema_json=json.dumps({"type": "struct", "fields": list(fields.values())}, ensure_ascii=False),
            partition_by=parts[0].partition_by,
            counts={
                name: sum(part.counts.get(name, 0) for part in parts)
                for name in dict.fromkeys(n for part in parts for n in part.counts)
            },
            created=max(part.created for part in parts),
            parts=tuple(parts),
        )

    def other_cut(self, now: str) -> str | None:
        """Return that of the first part which was cut otherwise."""
        return next((cut for part in self.parts if (cut := part.other_cut(now))), None)

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """Open the rows of all parts as one DataFrame."""
        if not self.partition_by:
            # One plan of many paths, and not a union of as many plans as there are days; columns that a file lacks
            # are null.
            from pyspark.sql.types import StructType

            schema = StructType.fromJson(json.loads(self.schema_json))
            return spark.read.schema(schema).parquet(*(spark_path(part.path) for part in self.parts))
        whole = self._of_runs(spark)
        if whole is None:
            whole = unioned([part.dataframe(spark) for part in self.parts])
        return whole.select(*(quoted(name) for name in self.columns))

    def _of_runs(self, spark: SparkSession) -> DataFrame | None:
        """Read the rows that runs have appended by one plan of many paths, too: there are more of them each day. None of other layouts."""
        if self.partition_by != (RUN,) or "_metadata" in self.columns:
            return None
        names = [(table, table.root.rsplit("/", 1)[-1]) for table in self._tables() if table.rows]
        # A name that Spark or a URI writes in another way is not told by the path.
        if not names or not all(
            table.whole_root != table.root and _AS_IT_STANDS.fullmatch(name) for table, name in names
        ):
            return None
        from pyspark.sql import functions as sf
        from pyspark.sql.types import StructType

        fields = [f for f in json.loads(self.schema_json)["fields"] if f["name"] != RUN]
        schema = StructType.fromJson({"type": "struct", "fields": fields})
        folders = [spark_path(f"{table.path}/{RUN}={name}") for table, name in names]
        run = sf.regexp_extract("_metadata.file_path", f"/{RUN}=([^/]+)/[^/]+$", 1)
        return spark.read.schema(schema).parquet(*folders).withColumn(RUN, run)

    def _tables(self) -> Iterator[Table]:
        """The tables that are no unions themselves."""
        for part in self.parts:
            yield from part._tables() if isinstance(part, TableUnion) else (part,)

    def files(self, **partition: str | None) -> ParquetFiles:
        """Return the files of all parts; columns that some parts lack are not in their files."""
        each = [part.files(**partition) for part in self.parts]
        fields = [f for f in json.loads(self.schema_json)["fields"] if f["name"] not in self.partition_by]
        return ParquetFiles(
            tuple(path for files in each for path in files.paths),
            rows=None if partition else self.rows,
            schema_json=json.dumps({"type": "struct", "fields": fields}),
        )
