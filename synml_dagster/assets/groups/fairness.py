"""`fairness`: the model's answers on the test rows, by the groups of the sensitive columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import FittedPipeline
from synml_dagster.assets.groups.training_weights import reweighing_of
from synml_dagster.assets.stage import (
    clearly,
    figure,
    gate,
    inputs,
    markdown_table,
    outcome,
    picture,
    stage,
    stored_once,
)
from synml_dagster.balance import Fairness, prediction_fairness
from synml_dagster.checks import FAIRNESS_CHECKS, BalanceSpec, judge_fairness
from synml_dagster.features import LABEL, SPLIT, assemble
from synml_dagster.resources import MLflowResource, SparkResource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MOST_LINES = 60


def build_fairness(pipeline: str, spec: BalanceSpec) -> dg.AssetsDefinition:
    """Return the asset that compares groups, with the checks that the description asks for."""

    @dg.asset(
        **stage(
            pipeline,
            "fairness",
            io_manager_key="bundles",
            ins=inputs(pipeline, "model"),
            metadata={"bundle": "synml_dagster.balance:Fairness"},
        ),
        check_specs=[
            gate(pipeline, "fairness", name, FAIRNESS_CHECKS[name], blocking=check.blocking)
            for name, check in spec.fairness_checks.items()
        ],
        output_required=False,
    )
    @clearly
    def fairness(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        model: FittedPipeline,
    ) -> Iterator[Any]:
        plan = model.plan
        numbers = plan.task == "regression"
        found = prediction_fairness(
            scored_by_group(spark.session, model, spec.columns),
            spec.columns,
            task=plan.task,
            label=LABEL,
            classes=None if numbers else plan.label.classes,
            positive=None if numbers else spec.positive,
            threshold=spec.threshold,
            intersections=spec.intersections,
            minimum=spec.minimum_rows,
            bins=spec.bins,
        )
        found.reweighing = reweighing_of(model.features)
        if found.reweighing is not None:
            found.notes.append(
                f"Training was reweighed: {found.reweighing.said()}. Test rows, of which these figures are, are not weighed by it."
            )
        inside = [c.name for c in plan.columns if c.name in spec.columns]
        if inside:
            found.notes.append(
                f"{', '.join(inside)} {'is an input' if len(inside) == 1 else 'are inputs'} of the model; features.exclude keeps a column out of it."
            )
        for note in found.notes:
            context.log.info(f"fairness: {note}")
        with mlflow.run(context) as run:
            run.log_metrics(
                {
                    f"fairness/{'+'.join(d.columns)}/{d.label or 'value'}/{d.measure}_difference": d.difference
                    for d in found.disparities
                    if d.difference is not None
                }
            )
        yield dg.Output(found, metadata=stored_once(context, fairness_metadata(found)))
        for verdict in judge_fairness(found, spec):
            told = {} if verdict.value is None else {"value": figure(verdict.value)}
            yield outcome(
                verdict.name, verdict.passed, verdict.said, told, only_warns=verdict.severity == "warn"
            )

    return fairness


def scored_by_group(spark: "SparkSession", fitted: FittedPipeline, columns: list[str]) -> "DataFrame":
    """Return the test rows with label, answers and the sensitive columns, which a feature may be called like."""
    from pyspark.sql import functions as sf

    from synml_dagster.balance import check_sensitive
    from synml_dagster.spark.quoting import quoted

    raw = fitted.raw.dataframe(spark)
    check_sensitive(dict(raw.dtypes), columns, {})
    kept = [f"__sensitive_{i}" for i in range(len(columns))]
    rows = raw.select("*", *(sf.col(quoted(c)).alias(k) for c, k in zip(columns, kept, strict=True)))
    test = assemble(rows, fitted.plan, keep=kept).where(sf.col(SPLIT) == "test")
    scored = fitted.model.transform(test, keep=[LABEL, *kept], spark=spark)
    names = dict(zip(kept, columns, strict=True))
    answers = [c for c in scored.columns if c not in names]
    taken = {c.casefold() for c in answers}
    # An answer called like a sensitive column would be one of two columns of a name.
    from synml_dagster.errors import ConfigError

    if clash := [c for c in columns if c.casefold() in taken]:
        raise ConfigError(
            f"balance.columns names {clash[0]!r}, and so is an answer of the model called; rename the column in the source."
        )
    return scored.select(*(sf.col(c) for c in answers), *(sf.col(k).alias(c) for k, c in names.items()))


def fairness_metadata(found: Fairness) -> dict[str, Any]:
    """Return the disparities as numbers that plot over time, and the tables."""
    from synml_dagster.plots import groups as figures

    told: dict[str, Any] = {"test rows": found.rows}
    worst: dict[str, float] = {}
    for d in found.disparities:
        if d.difference is not None:
            worst[d.measure] = max(worst.get(d.measure, 0.0), d.difference)
    told |= {f"difference/{measure}": figure(value) for measure, value in worst.items()}
    told["groups"] = picture(figures.answers_by_group(found), "answers by group, with 95% intervals")
    told["by group"] = markdown_table(*group_lines(found, _MOST_LINES))
    told["disparities"] = markdown_table(
        ["columns", "label", "measure", "difference", "95% interval", "ratio", "largest", "smallest"],
        [
            [
                " & ".join(d.columns),
                d.label or "",
                d.measure,
                d.reason if d.difference is None else f"{d.difference:.4g}",
                "" if d.low is None or d.high is None else f"{d.low:.3g} to {d.high:.3g}",
                "" if d.ratio is None else f"{d.ratio:.3g}",
                " & ".join(d.largest),
                " & ".join(d.smallest),
            ]
            for d in found.disparities[:_MOST_LINES]
        ],
    )
    told["notes"] = dg.MetadataValue.md("\n".join(f"- {n}" for n in found.notes) or "none")
    return told


def group_lines(found: Fairness, most: int) -> tuple[list[str], list[list[object]]]:
    """Return the header and the lines of the table of groups."""
    if found.task == "regression":
        names = ["mean_label", "mean_prediction", "bias", "mae", "rmse"]
    else:
        names = ["selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy"]
    lines: list[list[object]] = []
    for g in found.groups[:most]:
        cells: list[object] = []
        for name in names:
            if g.rates:
                rate = g.rates[name]
                cells.append(
                    "-" if rate.value is None else f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"
                )
            else:
                value = g.errors[name]
                cells.append("-" if value is None else f"{value:.5g}")
        lines.append(
            [" & ".join(g.columns), g.name, g.label or "", f"{g.rows}{' (small)' if g.small else ''}", *cells]
        )
    return ["columns", "group", "label", "rows", *(n.replace("_", " ") for n in names)], lines
