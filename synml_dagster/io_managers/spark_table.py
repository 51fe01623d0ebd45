"""Spark tables between assets."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.io_managers.failures import clearly_loaded, clearly_stored
from synml_dagster.io_managers.input_tables import opened_catalog_input, opened_input
from synml_dagster.io_managers.metadata import Written, described, each_partition, observations
from synml_dagster.io_managers.partition_cut import cut_now, cut_otherwise
from synml_dagster.io_managers.place import (
    input_roots,
    metadata_of,
    output_roots,
)
from synml_dagster.io_managers.rejected import SUFFIX, clear_aside, described_aside
from synml_dagster.io_managers.work import size_of, work_of
from synml_dagster.resources import SparkResource
from synml_dagster.tables import (
    RUN,
    Accompanied,
    CatalogTable,
    MarkedRows,
    Measured,
    Table,
    append_catalog_table,
    append_database_table,
    append_table,
    check_append,
    check_replace,
    publish_catalog_table,
    publish_database_table,
    publish_files,
    publish_table,
    run_root,
    written_table,
)
from synml_dagster.tables.task_writes import MadeRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkTableIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns as a Parquet table, replaced whole or not at all, and hands it on.

    An asset returns a Spark DataFrame, or `ParquetFiles`, which tasks copy as they are, or `MadeRows`, which tasks make
    of files and write, or a `Table` that it has published itself, or `Accompanied` rows, or `MarkedRows` ones, of which those with
    a reason go to a table of their own beside the asset's, `<its folder>_rejected`, with their count in the metadata, or any of
    these as `Measured`, which adds metadata of what was published. A
    downstream asset that annotates its argument with pyspark's `DataFrame` gets one; any other gets a `Table`, which
    also knows its files, its rows and its version. `AssetIn(metadata={"load_as": "dataframe"})` asks for a DataFrame
    without an annotation, `{"newest": 7}` for the last 7 partitions that are there, in the order of their definition; of two
    dimensions, one of which is of time, for those of its last 7 keys.

    Each partition of a partitioned asset is a table of its own, so that running one again replaces that one alone;
    a downstream asset that reads several gets their union. An asset that runs for several partitions at once returns
    a mapping of partition key to any of the above, or one DataFrame and says `partition_expr`.

    Definition metadata of the asset: `partition_by` (list of columns to lay the files out by), `root` (where to put
    the table instead of the data directory), `plain_folder` (true: on this host's disks the folder itself is the current
    version, and the versions lie beside it), `partition_expr` (the column that holds the partition key, for runs over
    several partitions at once), `append` (true: each run adds its rows to those of earlier runs, of its partitions, with its id in the column
    `run_id`; a run that is tried again or re-executed replaces its own), `table` (a table of Spark's catalog, which is then the only place it is written to; of partitions where runs append),
    `database` (says which table of a database the asset's `MarkedRows` go into: nothing can be loaded from there).
    """

    spark: SparkResource
    data_dir: str | None = Field(
        default=None, description="The data directory. Default: the environment's SYNML_DATA_DIR."
    )
    keep: int = Field(
        default=3, ge=1, description="How many versions of a table stay, the current one among them."
    )

    @clearly_stored
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Publish what the asset returned and describe it in the output's metadata."""
        if isinstance(obj, type(None)):
            raise ConfigError(
                f"{_what(context)} returned None, and its IO manager stores tables. Return a Spark DataFrame, or annotate the asset with `-> None`."
            )
        measure = None
        if isinstance(obj, Measured):
            obj, measure = obj.rows, obj.measure
        told = metadata_of(context.definition_metadata)
        roots = output_roots(context, self.data_dir)
        if told.get("table") and context.has_asset_partitions and not told.get("append"):
            raise ConfigError(
                f"{_what(context)} has partitions and goes to the catalog table {told['table']!r}, which is replaced whole. Leave one of them out, or let runs append."
            )
        each = self._each(context, obj, roots, told)
        asides = output_roots(context, self.data_dir, SUFFIX)
        tables: dict[str | None, Written] = {}
        beside: dict[str | None, Table | None] = {}
        for key, part in each.items():
            if isinstance(part, MarkedRows):
                store = partial(self._store_good, context, part, root=roots[key], told=told, key=key)
                tables[key], beside[key] = self._store_marked(context, part, asides[key], store)
            else:
                tables[key] = self._store(context, part, roots[key], told, key)
        if told.get("plain_folder") and (others := cut_otherwise(roots.values(), cut_now(context))):
            context.log.warning(
                f"{_what(context)}: {', '.join(map(repr, others[:3]))}{' ...' if others[3:] else ''} beside these partitions were published when time was cut otherwise, and who reads the "
                "folder as a whole has their rows, too. Remove those folders, or name another place."
            )
        context.add_output_metadata(described(context, tables))
        if told.get("append"):
            context.add_output_metadata({RUN: run_of(context)})
        if beside:
            context.add_output_metadata(described_aside(self._session(context), beside))
        paths = [t.path for t in tables.values() if isinstance(t, Table)]
        context.add_output_metadata(work_of(context.run_id, context.step_key, size_of(paths)))
        if measure is not None:
            context.add_output_metadata(dict(measure(list(tables.values()))))
        each_partition(context, tables)
        for observation in observations(context, tables):
            context.log_event(observation)

    @clearly_loaded
    def load_input(self, context: dg.InputContext) -> Any:
        """Open what the upstream asset published, in this run or last: a Table, or a DataFrame where the input says so."""
        upstream = context.upstream_output
        told = metadata_of(upstream.definition_metadata if upstream is not None else None)
        if name := told.get("table"):
            return opened_catalog_input(context, self._session(context), str(name))
        if name := told.get("database"):
            raise ConfigError(
                f"{context.asset_key.to_user_string()} is the table {name}, whose password no input is given. Read it by a source of your own: "
                "`{jdbc: ..., options: {dbtable: ...}}`, or `open_database_table`; order the two by `deps`."
            )
        table = opened_input(context, input_roots(context, self.data_dir))
        return table.dataframe(self._session(context)) if _wants_frame(context) else table

    def _each(
        self, context: dg.OutputContext, obj: Any, roots: dict[str | None, str], told: dict[str, Any]
    ) -> dict[str | None, Any]:
        """Return what is for each of the run's partitions, or for the whole asset under the key None."""
        if isinstance(obj, Mapping):
            if set(obj) != set(roots):
                raise ConfigError(
                    f"{_what(context)} returned tables for {sorted(map(str, obj))}, and the run is for {sorted(map(str, roots))}"
                )
            return {key: obj[key] for key in roots}
        if len(roots) == 1:
            return dict.fromkeys(roots, obj)
        frame, _ = self._frame(context, obj)
        return _by_column(frame, list(roots), told)

    def _store(
        self, context: dg.OutputContext, part: Any, root: str, told: dict[str, Any], key: str | None
    ) -> Table | CatalogTable:
        texts: Mapping[str, str] = {}
        if isinstance(part, Accompanied):
            part, texts = part.rows, part.texts
            if told.get("table") or told.get("append"):
                where = (
                    f"the catalog table {told['table']!r}"
                    if told.get("table")
                    else "a table that runs append to"
                )
                raise ConfigError(
                    f"{_what(context)} returned texts beside its rows, and {where} has no place for them. Return the rows alone."
                )
        if isinstance(part, Table) and part.root == root:
            return part  # the asset has published it where it belongs
        layout, cut = told.get("partition_by") or [], cut_now(context)
        if told.get("append"):
            return self._append(context, part, root, told, key)
        if not told.get("table"):
            check_replace(root)
        if _written_by_tasks(part, layout) and not told.get("table"):
            return publish_files(
                self._session(context), part, root, partition_by=layout, texts=texts, cut=cut, keep=self.keep
            )
        frame, layout = self._frame(context, part)
        if told.get("table"):
            return publish_catalog_table(frame, str(told["table"]))
        return publish_table(
            frame,
            root,
            partition_by=told.get("partition_by") or layout,
            texts=texts,
            cut=cut,
            keep=self.keep,
        )

    def _append(
        self, context: dg.OutputContext, part: Any, root: str, told: dict[str, Any], key: str | None
    ) -> Table | CatalogTable:
        """Publish the rows of this run beside those of others, in place of those that it has published before."""
        run, stamped, cut = run_of(context), told["append"] == STAMPED, cut_now(context)
        if isinstance(part, MadeRows) and not told.get("table"):
            if not stamped:
                raise ConfigError(
                    f"{_what(context)} returned rows that tasks write by themselves, and each run is to append rows with its id. Return a DataFrame."
                )
            own = run_root(root, run)
            check_append(root, [c for c in part.columns if c != RUN], part.schema_json, own, cut=cut)
            return publish_files(
                self._session(context), part, own, partition_by=[RUN], cut=cut, keep=self.keep
            )
        frame, _ = self._frame(context, part)
        layout = told.get("partition_by") or []
        if table := told.get("table"):
            if layout:
                raise ConfigError(
                    f"{_what(context)} is to be laid out by {list(layout)}, and the catalog table {table!r}, to which runs append, is by runs. Leave partition_by out, or write a folder."
                )
            return append_catalog_table(
                frame, str(table), run=run, partition=key, stamped=stamped, keep=self.keep
            )
        return append_table(
            frame, root, run=run, partition_by=layout, cut=cut, keep=self.keep, stamped=stamped
        )

    def _store_marked(
        self, context: dg.OutputContext, part: MarkedRows, aside: str, store: Callable[[Any], Written]
    ) -> tuple[Written, Table | None]:
        session = self._session(context)
        if part.reason is None or isinstance(part.frame, MadeRows):  # what tasks write all stays
            table = store(part.frame if isinstance(part.frame, MadeRows) else part.good(part.frame))
            return table, clear_aside(session, aside, self.keep)
        # Each of the two tables would run the scoring once more: so it is written once, where nobody reads it, and both
        # are read from those files. The rows set aside come first: a failure in between must not lose them.
        with written_table(part.frame, aside) as written:
            rows = written.dataframe(session)
            rejected = publish_table(part.bad(rows), aside, keep=self.keep)
            return store(part.good(rows)), rejected

    def _store_good(
        self,
        context: dg.OutputContext,
        part: MarkedRows,
        rows: Any,
        *,
        root: str,
        told: dict[str, Any],
        key: str | None,
    ) -> Written:
        if part.into is None:
            return self._store(context, rows, root, told, key)
        frame, _ = self._frame(context, rows)
        if append := told.get("append"):
            run = run_of(context)
            return append_database_table(frame, part.into, run=run, partition=key, stamped=append == STAMPED)
        return publish_database_table(frame, part.into, partition=key)

    def _frame(self, context: dg.OutputContext, obj: Any) -> "tuple[DataFrame, list[str]]":
        if isinstance(obj, Table):
            return obj.dataframe(self._session(context)), list(obj.partition_by)
        if isinstance(obj, ParquetFiles):
            return obj.dataframe(self._session(context)), []
        if _is_frame(type(obj)):
            self._session(context)  # tags the write as this step's
            return obj, []
        if isinstance(obj, MadeRows):
            raise ConfigError(
                f"{_what(context)} returned rows that tasks write by themselves, which they do into a folder and for one partition: not "
                "into a catalog table, and not for several partitions at once. Return a DataFrame, or a mapping by partition."
            )
        raise ConfigError(
            f"{_what(context)} returned a {type(obj).__module__}.{type(obj).__qualname__}, and its IO manager stores Spark DataFrames, Tables and Parquet files"
        )

    def _session(self, context: dg.OutputContext | dg.InputContext) -> Any:
        step = context.step_key if isinstance(context, dg.OutputContext) else _step_of(context)
        return self.spark.session_for(step)


STAMPED = "stamped"
"""What an asset says by `append` whose rows already have the column of the run."""


def run_of(context: dg.OutputContext | dg.AssetExecutionContext) -> str:
    """Return the run that a table's rows are kept under: a re-execution is that which it re-executes."""
    run = context.step_context.dagster_run if isinstance(context, dg.OutputContext) else context.run
    return str(run.root_run_id or run.run_id)


def _written_by_tasks(part: Any, layout: list[str]) -> bool:
    """Whether tasks can write the table past Spark: they make its rows, or its files are a table as they are."""
    return isinstance(part, MadeRows) or (
        isinstance(part, ParquetFiles) and part.schema_json is not None and not layout
    )


def _by_column(frame: "DataFrame", keys: list[Any], told: dict[str, Any]) -> "dict[str | None, DataFrame]":
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    column = told.get("partition_expr")
    if not column:
        raise ConfigError(
            f"the output is for {len(keys)} partitions at once and nothing says which row belongs to which. "
            'Give the asset metadata={"partition_expr": "<column that holds the partition key>"}, or run its partitions one by one.'
        )
    key = sf.col(quoted(column)).cast("string")
    others = sf.count_if(~sf.coalesce(key.isin(keys), sf.lit(False)))
    if lost := frame.agg(others).collect()[0][0]:
        raise DataError(
            f"{lost} rows belong to none of the run's {len(keys)} partitions by their column {column!r}; they would be lost. Return the rows of these partitions alone."
        )
    return {part: frame.where(key == sf.lit(part)) for part in keys}


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
