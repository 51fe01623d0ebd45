"""Checks of `raw`: columns, row count, duplicates, freshness. What was recorded as it was written is not read again."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from synml_dagster.assets.gates.written import files, frame, row_count, run_checked, written
from synml_dagster.assets.stage import SPARK_POOL, clearly, figure, markdown_table, outcome, stage_key
from synml_dagster.checks import ChecksSpec
from synml_dagster.checks.keys import duplicates, hours_old
from synml_dagster.checks.spec import (
    CheckSpec,
    DuplicatesCheck,
    FreshnessCheck,
    RowCountCheck,
    SchemaCheck,
)
from synml_dagster.checks.table_facts import judge_each, judge_row_counts
from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.features import FeaturePlan
from synml_dagster.partitions import PartitionsSpec, keys_by_axis, may_be_key
from synml_dagster.partitions.spec import CUT
from synml_dagster.resources import MLflowResource, SparkResource


def build_table_checks(
    pipeline: str,
    spec: ChecksSpec,
    registered: str | None = None,
    partitions: PartitionsSpec | None = None,
) -> list[dg.AssetChecksDefinition]:
    """Return the checks of `raw` that `spec` names."""
    key, name = stage_key(pipeline, "raw"), registered or pipeline
    found = []
    if spec.columns is not None:
        found.append(_columns(key, name, spec.columns))
    if spec.row_count is not None:
        found.append(_row_count(key, spec.row_count, partitions))
    if spec.duplicates is not None:
        found.append(_duplicates(key, spec.duplicates))
    if spec.freshness is not None:
        found.append(_freshness(key, spec.freshness))
    return found


def _declared(
    key: dg.AssetKey, name: str, spec: CheckSpec, *, spark: bool = False
) -> Callable[[Callable[..., Any]], dg.AssetChecksDefinition]:
    """Return Dagster's decorator; the description is the docstring of the options' model."""
    return dg.asset_check(
        asset=key,
        name=name,
        description=type(spec).__doc__,
        blocking=spec.blocking,
        pool=SPARK_POOL if spark else None,
    )


def _columns(key: dg.AssetKey, registered: str, spec: SchemaCheck) -> dg.AssetChecksDefinition:
    @_declared(key, "columns", spec)
    @clearly
    def columns(context: dg.AssetCheckExecutionContext, mlflow: MLflowResource) -> dg.AssetCheckResult:
        version = mlflow.champion(registered)
        if version is None:
            return outcome("columns", True, "there is no champion yet, so that nothing was learnt")
        each = {made.partition: _types(made) for made in written(context, key)}
        plan = FeaturePlan.load(mlflow.download(version))
        passed, said, lines = judge_each(each, plan, spec)
        told: dict[str, Any] = {"compared with version": str(version.version)}
        if lines:
            told["changes"] = markdown_table(["column", "then", "now", "", "where"][: len(lines[0])], lines)
        return outcome("columns", passed, said, told, only_warns=spec.severity == "warn")

    return columns


def _row_count(
    key: dg.AssetKey, spec: RowCountCheck, partitions: PartitionsSpec | None
) -> dg.AssetChecksDefinition:
    def alike(made: dg.AssetMaterialization, other: str | None) -> bool:
        """Whether a read is comparable with that of a partition now, or of a whole table: not a day with a week, nor two regions."""
        one = made.partition
        if partitions is None or one is None or other is None:
            return partitions is None and one is None
        cut = made.metadata.get(CUT)
        # What earlier releases have read does not say it, and days and weeks have keys of one form.
        if (cut is None and partitions.of_time is not None) or (
            cut is not None and cut.value != partitions.cut
        ):
            return False
        if not partitions.dimensions:
            return True
        if not may_be_key(partitions, other) or not may_be_key(partitions, one):
            return False  # of an earlier description
        place, there = keys_by_axis(partitions, one), keys_by_axis(partitions, other)
        return partitions.of_time is None or all(
            place[name] == there[name] for name in place if name != partitions.of_time
        )

    @_declared(key, "row_count", spec)
    @clearly
    def rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        now = {m.partition: n for m in written(context, key) if (n := row_count(m)) is not None}
        # A partition that is read once more is compared with others, and not with itself.
        many = 10 * spec.history * (len(now) if partitions and partitions.dimensions else 1)
        records = context.instance.fetch_materializations(key, limit=many + len(now)).records
        checked = run_checked(context, key)
        before: dict[str | None, dict[str, int]] = {k: {} for k in now}
        others = False  # whether something was read that cannot be compared
        for record in records:
            made = record.asset_materialization
            count = row_count(made) if made is not None else None
            if made is None or count is None or record.run_id == (checked or None):
                continue
            for k in now:
                if (k is None or made.partition != k) and alike(made, k):
                    before[k].setdefault(made.partition or f"{record.storage_id}", count)
                else:
                    others = others or made.partition != k
        what = "the whole table was" if partitions is None else f"other partitions ({partitions.cut}) were"
        nothing = f"{what} never read before; what was read under another definition is not compared"
        passed, said = judge_row_counts(
            now,
            {k: list(v.values()) for k, v in before.items()},
            spec,
            *([nothing] if others else []),
        )
        return outcome(
            "row_count", passed, said, {"rows": sum(now.values())}, only_warns=spec.severity == "warn"
        )

    return rows


def _duplicates(key: dg.AssetKey, spec: DuplicatesCheck) -> dg.AssetChecksDefinition:
    @_declared(key, "duplicates", spec, spark=True)
    @clearly
    def twice(context: dg.AssetCheckExecutionContext, spark: SparkResource) -> dg.AssetCheckResult:
        keys, rows, lines = 0, 0, []
        for made in written(context, key):
            n, m, examples = duplicates(frame(made, spark.session), spec.columns)
            keys, rows = keys + n, rows + m
            where = f" in {made.partition!r}" if made.partition else ""
            lines += [example + where for example in examples]
        names = ", ".join(map(repr, spec.columns))
        said = f"{keys} values of {names} stand on {rows} rows, such as {'; '.join(lines[:5])}"
        return outcome(
            "duplicates",
            keys == 0,
            said if keys else f"{names} tells the rows apart",
            {"keys": keys, "rows": rows},
            only_warns=spec.severity == "warn",
        )

    return twice


def _freshness(key: dg.AssetKey, spec: FreshnessCheck) -> dg.AssetChecksDefinition:
    @_declared(key, "freshness", spec, spark=True)
    @clearly
    def fresh(context: dg.AssetCheckExecutionContext, spark: SparkResource) -> dg.AssetCheckResult:
        found = [v for made in written(context, key) if (v := _newest(made, spec.column, spark)) is not None]
        if not found:
            return outcome(
                "freshness",
                False,
                f"{spec.column!r} is missing in all rows",
                only_warns=spec.severity == "warn",
            )
        newest = max(found)
        hours = hours_old(newest, datetime.now(UTC))
        said = f"the newest {spec.column!r} is {newest}, {hours:.1f} hours ago; at most {spec.hours:g} are expected"
        return outcome(
            "freshness",
            hours <= spec.hours,
            said,
            {"newest": str(newest), "hours old": figure(hours)},
            only_warns=spec.severity == "warn",
        )

    return fresh


def _types(made: dg.AssetMaterialization) -> dict[str, str]:
    """The types of what was written, by column, each partition its own."""
    schema: Any = made.metadata["dagster/column_schema"].value
    return {c.name: c.type for c in schema.columns}


def _newest(made: dg.AssetMaterialization, column: str, spark: SparkResource) -> date | None:
    """The greatest value of a column: from the files' footers, else by a look at that column."""
    types = _types(made)
    if column not in types:
        where = f"partition {made.partition!r}" if made.partition else "the table"
        raise DataError(f"checks.freshness: {where} has no column {column!r}.{did_you_mean(column, types)}")
    if types[column] not in ("date", "timestamp", "timestamp_ntz"):
        raise DataError(
            f"checks.freshness: {column!r} is of type {types[column]}, and freshness needs a date or a time. Convert it in the source."
        )
    there = files(made)
    value = there.greatest(column) if there is not None else None
    if isinstance(value, date):  # a datetime is one, too
        return value
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    # As text: a session's time zone would move a time on its way to Python.
    greatest = sf.max(sf.col(quoted(column)))
    if types[column] == "timestamp":
        row = frame(made, spark.session).agg(sf.unix_micros(greatest)).collect()[0]
        return None if row[0] is None else datetime.fromtimestamp(row[0] / 1e6, UTC)
    row = frame(made, spark.session).agg(greatest.cast("string")).collect()[0]
    if row[0] is None:
        return None
    return date.fromisoformat(row[0]) if types[column] == "date" else datetime.fromisoformat(row[0])
