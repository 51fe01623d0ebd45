"""Spark tables between assets."""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.io_managers.place import input_roots, metadata_of, output_roots
from synml_dagster.resources.spark import SparkResource
from synml_dagster.spark import Table, TableUnion, open_table, publish_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkTableIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns as a Parquet table, replaced whole or not at all, and hands it on.

    An asset returns a Spark DataFrame, or a `Table` that it has published itself. A downstream asset that annotates
    its argument with pyspark's `DataFrame` gets one; any other gets a `Table`, which also knows its files, its rows
    and its version. `AssetIn(metadata={"load_as": "dataframe"})` asks for a DataFrame without an annotation.

    Each partition of a partitioned asset is a table of its own, so that running one again replaces that one alone;
    a downstream asset that reads several gets their union.

    Definition metadata of the asset: `partition_by` (list of columns to lay the files out by), `root` (where to put
    the table instead of the data directory), `partition_expr` (the column that holds the partition key, for runs over
    several partitions at once).
    """

    spark: SparkResource
    data_dir: str | None = Field(
        default=None, description="The data directory. Default: the environment's SYNML_DATA_DIR."
    )
    keep: int = Field(
        default=3, ge=1, description="How many versions of a table stay, the current one among them."
    )

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Publish what the asset returned and describe it in the output's metadata."""
        if isinstance(obj, type(None)):
            raise ConfigError(
                f"{_what(context)} returned None, and its IO manager stores tables. Return a Spark DataFrame, or annotate the asset with `-> None`."
            )
        roots = output_roots(context, self.data_dir)
        told = metadata_of(context.definition_metadata)
        if isinstance(obj, Table) and list(roots.values()) == [obj.root]:
            tables = [obj]  # the asset has published it where it belongs
        else:
            frame, layout = self._frame(context, obj)
            layout = told.get("partition_by") or layout
            if len(roots) > 1:
                tables = _publish_each(frame, roots, told, layout, self.keep)
            else:
                tables = [
                    publish_table(frame, root, partition_by=layout, keep=self.keep) for root in roots.values()
                ]
        context.add_output_metadata(_metadata(context, tables))

    def load_input(self, context: dg.InputContext) -> Any:
        """Open what the upstream asset published: a Table, or a DataFrame where the input says so."""
        table = _open(context, input_roots(context, self.data_dir))
        return table.dataframe(self._session(context)) if _wants_frame(context) else table

    def _frame(self, context: dg.OutputContext, obj: Any) -> "tuple[DataFrame, list[str]]":
        if isinstance(obj, Table):
            return obj.dataframe(self._session(context)), list(obj.partition_by)
        if _is_frame(type(obj)):
            self._session(context)  # tags the write as this step's
            return obj, []
        raise ConfigError(
            f"{_what(context)} returned a {type(obj).__module__}.{type(obj).__qualname__}, and its IO manager stores Spark DataFrames and Tables"
        )

    def _session(self, context: dg.OutputContext | dg.InputContext) -> Any:
        step = context.step_key if isinstance(context, dg.OutputContext) else _step_of(context)
        return self.spark.session_for(step)


def _publish_each(
    frame: "DataFrame",
    roots: dict[str | None, str],
    told: dict[str, Any],
    layout: list[str],
    keep: int,
) -> list[Table]:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.tables import quoted

    column = told.get("partition_expr")
    if not column:
        raise ConfigError(
            f"the output is for {len(roots)} partitions at once and nothing says which row belongs to which. "
            'Give the asset metadata={"partition_expr": "<column that holds the partition key>"}, or run its partitions one by one.'
        )
    key = sf.col(quoted(column)).cast("string")
    others = sf.count_if(~sf.coalesce(key.isin([k for k in roots if k is not None]), sf.lit(False)))
    if lost := frame.agg(others).first()[0]:
        raise DataError(
            f"{lost} rows belong to none of the run's {len(roots)} partitions by their column {column!r}; they would be lost. Return the rows of these partitions alone."
        )
    return [
        publish_table(frame.where(key == sf.lit(part)), root, partition_by=layout, keep=keep)
        for part, root in roots.items()
    ]


def _open(context: dg.InputContext, roots: dict[str | None, str]) -> Table:
    found = []
    for part, root in roots.items():
        try:
            found.append(open_table(root))
        except SourceError as problem:
            if part is None or not metadata_of(context.definition_metadata).get("allow_missing_partitions"):
                which = f", partition {part!r}" if part is not None else ""
                raise SourceError(f"{context.asset_key.to_user_string()}{which}: {problem}") from problem
    if not found:
        raise SourceError(
            f"{context.asset_key.to_user_string()}: none of its {len(roots)} partitions has been materialized"
        )
    return found[0] if len(found) == 1 else TableUnion.of(found)


def _metadata(context: dg.OutputContext, tables: list[Table]) -> dict[str, Any]:
    first = tables[0]
    rows = sum(t.rows for t in tables)
    told: dict[str, Any] = {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(f["name"], _type_name(f["type"]), description=f["metadata"].get("comment"))
                for f in json.loads(first.schema_json)["fields"]
            ]
        ),
        "dagster/uri": first.root if len(tables) == 1 else first.root.rsplit("/", 1)[0],
        "dagster/storage_kind": "parquet",
        "version": ", ".join(t.version for t in tables),
        "path": dg.MetadataValue.path(first.path if len(tables) == 1 else first.root.rsplit("/", 1)[0]),
    }
    if context.has_asset_key:
        told["dagster/table_name"] = ".".join(context.asset_key.path)
    if context.has_asset_partitions:
        told["dagster/partition_row_count"] = rows
        del told["dagster/row_count"]  # the asset has other partitions, too
    for name in first.counts:
        told[name] = sum(t.counts.get(name, 0) for t in tables)
    return told


def _type_name(kind: Any) -> str:
    """Name a type of Spark's JSON schema as SQL does."""
    if isinstance(kind, str):
        return {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{_type_name(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{_type_name(kind['keyType'])},{_type_name(kind['valueType'])}>"
    if kind["type"] == "struct":
        return f"struct<{','.join(f['name'] + ':' + _type_name(f['type']) for f in kind['fields'])}>"
    return str(kind.get("class", kind["type"]))


def _wants_frame(context: dg.InputContext) -> bool:
    asked = metadata_of(context.definition_metadata).get("load_as")
    if asked not in (None, "table", "dataframe"):
        raise ConfigError(f'load_as is "table" or "dataframe" but got {asked!r}')
    if asked:
        return bool(asked == "dataframe")
    kind = context.dagster_type.typing_type
    return isinstance(kind, type) and _is_frame(kind)


def _is_frame(kind: type) -> bool:
    """Tell pyspark's frames, classic and Connect, without importing pyspark."""
    return any(c.__name__ == "DataFrame" and c.__module__.startswith("pyspark.sql") for c in kind.__mro__)


def _what(context: dg.OutputContext) -> str:
    return context.asset_key.to_user_string() if context.has_asset_key else f"the output {context.name!r}"


def _step_of(context: dg.InputContext) -> str | None:
    try:
        return context.step_context.step.key
    except Exception:  # outside of a run: `Definitions.load_asset_value`
        return None
