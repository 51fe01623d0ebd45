"""The check `drift` of `predictions`: the rows to score against the champion's training rows, on a page for people."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from synml_dagster.assets.stage import figure, markdown_table, outcome, pictures
from synml_dagster.checks import ColumnDrift, Drift, DriftSpec, measure_drift
from synml_dagster.errors import ModelError
from synml_dagster.features import FeaturePlan
from synml_dagster.learners import TrainedModel

DRIFT = "The rows to score are spread as the champion's training rows were, column by column."
_MOST_LINES = 50
_MOST_PICTURES = 6


def drift_outcome(
    context: dg.AssetExecutionContext, tables: Iterable[Any], bundle: str, spec: DriftSpec, spark: Any
) -> dg.AssetCheckResult:
    """Compare DataFrames or Parquet files with what the plan in `bundle` has seen, and return the check's result."""
    frames = [t if hasattr(t, "columns") else t.dataframe(spark) for t in tables]
    plan = FeaturePlan.load(bundle)
    found = measure_drift(frames, plan, spec.columns, _importance(context, bundle))
    for note in found.notes:
        context.log.info(f"drift: {note}")
    return outcome(
        "drift",
        found.passed(spec),
        found.said(spec),
        drift_metadata(found, spec),
        only_warns=spec.severity == "warn",
    )


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
