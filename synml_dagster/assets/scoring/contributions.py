"""`contributions`: beside each prediction what its raw columns add to it, and its reasons; made in the step of `predictions`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import Provenance, check_names
from synml_dagster.assets.stage import ContributionsSpec, ScoreSpec, figure, markdown_table, stage
from synml_dagster.errors import ModelError
from synml_dagster.explain import contributions_of
from synml_dagster.features import FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.learners import TrainedModel
from synml_dagster.onnx import OnnxModel, can_have_bad_rows, score, score_files, split_bad_rows
from synml_dagster.partitions.run_parts import RESULT
from synml_dagster.resources import DataDirectory
from synml_dagster.tables import Measured, Table, written_table
from synml_dagster.tables.task_writes import MadeRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.explain import Contributions

OUTPUT = "contributions"
_MOST_SHOWN = 50


def with_contributions(pipeline: str, told: Mapping[str, Any], spec: ContributionsSpec) -> dict[str, Any]:
    """Return what `dagster.multi_asset` takes for a step of `predictions` that makes `contributions`, too.

    Parameters
    ----------
    told
        What `dagster.asset` takes for `predictions` alone.
    """
    place: dict[str, Any] = {"root": spec.path} if spec.path else {}
    place |= {"table": spec.table} if spec.table else {"plain_folder": True}
    own = stage(pipeline, "contributions", io_manager_key="spark_tables", metadata=place)
    words = ("key", "io_manager_key", "metadata", "description", "kinds", "tags", "code_version")
    required = told.get("output_required", True)
    outs = {
        name: dg.AssetOut(is_required=required, **{word: one[word] for word in words})
        for name, one in ((RESULT, told), (OUTPUT, own))
    }
    shared = ("ins", "deps", "group_name", "partitions_def", "backfill_policy", "pool", "check_specs")
    return {
        "name": f"{pipeline}__predictions",
        "outs": outs,
        **{word: told[word] for word in shared if word in told},
    }


def opened_contributions(
    bundle: str, model: OnnxModel, spec: ContributionsSpec, rows: Iterable[Any]
) -> Contributions:
    """Return what makes contributions of the champion in `bundle`, whose graph is `model`.

    Raises
    ------
    ModelError
        The champion has no closed form of what each column adds, and there are more `rows` than may be explained without one.
    """
    found = contributions_of(
        model, TrainedModel.load(bundle), FeaturePlan.load(bundle), top=spec.top, detailed=spec.detailed
    )
    if found.exact:
        return found
    count = sum(part.count() for part in rows)
    if count > spec.kernel_rows:
        raise ModelError(
            f"contributions: the champion is of family {found.model.learner}, which has no closed form of what each column adds: "
            f"{found.rows_scored:,} rows are scored to explain one, and there are {count:,}. explain.contributions.kernel_rows allows {spec.kernel_rows:,}; "
            "raise it, leave explain.contributions out, or let train.learner and sweep.learners name trees or linear models."
        )
    return found


@contextmanager
def held(
    each: Mapping[str, DataFrame | ParquetFiles], pipeline: str, spark: SparkSession
) -> Iterator[dict[str, DataFrame | ParquetFiles]]:
    """Lend rows that are read twice and stay the same: files as they are, others as they are written now, where nobody reads them.

    That is not the table's own folder, which whoever reads it as plain Parquet would find them in.
    """
    root = DataDirectory().path(pipeline, ".contributions.held")
    with ExitStack() as stack:
        found = {}
        for key, rows in each.items():
            if not isinstance(rows, ParquetFiles):
                rows = stack.enter_context(written_table(rows, root)).nearest(spark)
            found[key] = rows
        yield found


def explained(
    rows: DataFrame | ParquetFiles,
    model: OnnxModel,
    further: Contributions,
    provenance: Provenance,
    spec: ScoreSpec,
    table: str | None,
    spark: SparkSession,
) -> DataFrame | MadeRows:
    """Return the rows that `predictions` has of `rows`, with their contributions: a DataFrame, or what tasks write by themselves."""
    asked: dict[str, Any] = {"keep": spec.keep, "outputs": further.outputs, "further": further}
    if spec.bad_rows == "raise" or not can_have_bad_rows(rows, model, spark):
        if isinstance(rows, ParquetFiles) and table is None:
            check_names(rows.schema().names if spec.keep is None else spec.keep, provenance.columns)
            made = score_files(spark, rows, model, constants=provenance.values(), **asked)
            if made is not None:
                return made
        return provenance.stamp(score(rows, model, spark=spark, **asked))
    marked = score(rows, model, bad_rows="mark", spark=spark, **asked)
    return provenance.stamp(split_bad_rows(marked)[0])


def measured(
    made: DataFrame | MadeRows | Mapping[str, DataFrame | MadeRows],
    further: Contributions,
    scoring: float,
    spark: SparkSession,
) -> Measured:
    """Return the rows to publish, with what their page says: how much each column moves, and what explaining costs.

    Parameters
    ----------
    scoring
        Seconds that scoring and writing the same rows took.
    """
    began = time.perf_counter()

    def measure(tables: Sequence[Table]) -> dict[str, Any]:
        seconds = time.perf_counter() - began
        sizes = _mean_sizes(
            tables, {raw.name: name for raw, name in zip(further.columns, further.names, strict=False)}, spark
        )
        shown = list(sizes.items())[:_MOST_SHOWN]
        return {
            "mean contribution": markdown_table(
                ["column", "mean size"], ([name, f"{size:.5g}"] for name, size in shown)
            ),
            "method": "exact" if further.exact else further.method,
            "seconds": figure(seconds),
            "times the cost of scoring": figure(seconds / max(scoring, 1e-9)),
        }

    return Measured(made, measure)


def _mean_sizes(tables: Sequence[Table], names: Mapping[str, str], spark: SparkSession) -> dict[str, float]:
    """Return the mean size of each raw column's contribution, the greatest first; none where there are no rows.

    `names` are the columns of contributions by their raw column.
    """
    from functools import reduce

    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    frames = [table.dataframe(spark) for table in tables]
    whole = reduce(_union, frames)
    means = whole.agg(*(sf.avg(sf.abs(sf.col(quoted(column)))) for column in names.values())).collect()[0]
    found = {name: float(mean) for name, mean in zip(names, means, strict=True) if mean is not None}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _union(one: DataFrame, other: DataFrame) -> DataFrame:
    return one.unionByName(other)
