"""Several tables read as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.files.parquet_files import spark_path
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables.table import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """Open the rows of all parts as one DataFrame."""
        if not self.partition_by:
            # One plan of many paths, and not a union of as many plans as there are days; columns that a file lacks
            # are null.
            from pyspark.sql.types import StructType

            schema = StructType.fromJson(json.loads(self.schema_json))
            return spark.read.schema(schema).parquet(*(spark_path(part.path) for part in self.parts))
        frames = [part.dataframe(spark) for part in self.parts]
        whole = frames[0]
        for frame in frames[1:]:
            whole = whole.unionByName(frame, allowMissingColumns=True)
        return whole.select(*(quoted(name) for name in self.columns))

    def files(self, **partition: str | None) -> ParquetFiles:
        """Return the files of all parts; columns that some parts lack are not in their files."""
        each = [part.files(**partition) for part in self.parts]
        fields = [f for f in json.loads(self.schema_json)["fields"] if f["name"] not in self.partition_by]
        return ParquetFiles(
            tuple(path for files in each for path in files.paths),
            rows=None if partition else self.rows,
            schema_json=json.dumps({"type": "struct", "fields": fields}),
        )
