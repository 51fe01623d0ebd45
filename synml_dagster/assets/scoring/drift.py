"""Checks of `predictions` by the rows to score, against the champion's training rows: drift, missing values, ranges.

One grouped count of Spark serves all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.stage import figure, gate, markdown_table, outcome, pictures
from synml_dagster.checks import (
    DRIFTED_IMPORTANCE,
    ColumnDrift,
    Drift,
    DriftSpec,
    check_columns,
    measure_drift,
)
from synml_dagster.checks.rows_seen import judge_nulls, judge_ranges
from synml_dagster.checks.spec import CheckSpec, NullsCheck, RangesCheck
from synml_dagster.errors import ModelError
from synml_dagster.features import ColumnStats, FeaturePlan
from synml_dagster.learners import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DRIFT = "The rows to score are spread as the champion's training rows were, column by column."
_MOST_LINES = 50
_MOST_PICTURES = 6


def rows_checks(
    pipeline: str, drift: DriftSpec | None, nulls: NullsCheck | None, ranges: RangesCheck | None
) -> list[dg.AssetCheckSpec]:
    """Return the specs of the checks that are asked for."""
    asked = {
        "drift": (DRIFT, drift),
        "nulls": (NullsCheck.__doc__, nulls),
        "ranges": (RangesCheck.__doc__, ranges),
    }
    return [
        gate(pipeline, "predictions", name, said or "", blocking=spec.blocking)
        for name, (said, spec) in asked.items()
        if spec is not None
    ]


def rows_outcomes(
    context: dg.AssetExecutionContext,
    tables: Iterable[Any],
    bundle: str,
    drift: DriftSpec | None,
    nulls: NullsCheck | None,
    ranges: RangesCheck | None,
    spark: SparkSession,
) -> Iterator[tuple[dg.AssetCheckResult, bool]]:
    """Compare DataFrames or Parquet files with what the plan in `bundle` has seen.

    Gives the result of each check that is asked for, and whether it stops the scoring.
    """
    frames = [t if hasattr(t, "columns") else t.dataframe(spark) for t in tables]
    plan = FeaturePlan.load(bundle)
    asked = {"drift": drift, "checks.nulls": nulls, "checks.ranges": ranges}
    named: list[str] = []
    for name, spec in asked.items():
        if spec is not None:
            check_columns(plan, spec.columns, name)
            named += spec.columns or ()
    every = any(spec is not None and spec.columns is None for spec in asked.values())
    found = measure_drift(
        frames,
        plan,
        None if every else named,
        _importance(context, bundle),
        named=named,
        presence=nulls is not None,
    )
    for note in found.notes:
        context.log.info(f"rows to score: {note}")
    results: list[tuple[dg.AssetCheckResult, CheckSpec | DriftSpec]] = []
    if drift is not None:
        part = found.only(drift.columns)
        results.append(
            (
                _outcome("drift", part.passed(drift), part.said(drift), drift_metadata(part, drift), drift),
                drift,
            )
        )
    if nulls is not None:
        passed, said, bad = judge_nulls(found, nulls)
        lines = [[c.column, f"{c.missing_before:.2%}", f"{c.missing:.2%}"] for c in bad]
        told = {"columns": markdown_table(["column", "missing then", "now"], lines)} if bad else {}
        results.append(
            (_outcome("nulls", passed, said, told | {"columns with more": len(bad)}, nulls), nulls)
        )
    if ranges is not None:
        passed, said, unseen = judge_ranges(found, ranges, frames, plan)
        stats = {s.column: s for s in plan.statistics}
        table = [
            [c.column, str(c.outside if c.numeric else c.new), _learnt(stats[c.column]), ", ".join(values)]
            for c, values in unseen
        ]
        told = {"columns": markdown_table(["column", "rows", "learnt", "such as"], table)} if table else {}
        results.append(
            (_outcome("ranges", passed, said, told | {"columns outside": len(unseen)}, ranges), ranges)
        )
    for result, of in results:
        yield result, of.blocking and not result.passed


def _outcome(
    name: str, passed: bool, said: str, told: dict[str, Any], spec: CheckSpec | DriftSpec
) -> dg.AssetCheckResult:
    return outcome(name, passed, said, told, only_warns=spec.severity == "warn")


def _learnt(stats: ColumnStats) -> str:
    if stats.histogram is not None:
        return f"{stats.minimum:.6g} to {stats.maximum:.6g}"
    return f"{stats.distinct} words, such as {', '.join(list(stats.top)[:3])}"


def drift_metadata(found: Drift, spec: DriftSpec) -> dict[str, Any]:
    """Return the largest index as a number that plots over time, the table of columns, and pictures of the worst."""
    from synml_dagster.plots.drift import two_distributions

    told: dict[str, Any] = {"rows": found.rows}
    if found.notes:
        told["not compared"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in found.notes))
    if not found.columns:
        return told
    moved = found.drifted(spec)
    told |= {
        "columns compared": len(found.columns),
        "columns drifted": len(moved),
        "largest index": figure(found.columns[0].psi),
        "columns": markdown_table(
            ["column", "drifted", "PSI", "by chance", "Jensen-Shannon", "KS", "missing then", "now", "not seen in training", "importance"],
            [_line(c, c in moved) for c in found.columns[:_MOST_LINES]],
        ),
    }  # fmt: skip
    if all(c.importance is not None for c in found.columns):
        told[DRIFTED_IMPORTANCE] = figure(sum(c.importance or 0.0 for c in moved))
    if moved:
        told["distributions"] = pictures(
            {
                c.column: two_distributions(c.column, c.bins, c.expected, c.found)
                for c in moved[:_MOST_PICTURES]
            }
        )
    return told


def _line(c: ColumnDrift, moved: bool) -> list[object]:
    unseen = c.outside if c.numeric else c.new
    return [
        c.column,
        "yes" if moved else "",
        f"{c.psi:.3g}",
        f"{c.chance:.3g}",
        f"{c.js_distance:.3g}",
        "" if c.ks is None else f"{c.ks:.3g}",
        f"{c.missing_before:.1%}",
        f"{c.missing:.1%}",
        "" if unseen is None else f"{unseen} rows",
        "" if c.importance is None else f"{c.importance:.1%}",
    ]


def _importance(context: dg.AssetExecutionContext, bundle: str) -> dict[str, float] | None:
    """The champion's importance by feature; a family without one is no reason to compare nothing."""
    try:
        return TrainedModel.load(bundle).importance()
    except (ModelError, NotImplementedError) as problem:
        context.log.info(f"drift: the columns' importance is not known: {problem}")
        return None
