"""`data_balance`: how the labelled rows are spread over the groups of the sensitive columns, before anything is trained."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

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
from synml_dagster.balance import DataBalance, data_balance
from synml_dagster.checks import DATA_CHECKS, BalanceSpec, judge_data
from synml_dagster.errors import ConfigError
from synml_dagster.features import LABEL, FeaturePlan, labelled
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.tables import Table

_MOST_LINES = 50


def build_data_balance(pipeline: str, spec: BalanceSpec, window: int | None = None) -> dg.AssetsDefinition:
    """Return the asset that measures the table, with the checks that the description asks for."""

    @dg.asset(
        **stage(
            pipeline,
            "data_balance",
            io_manager_key="bundles",
            ins=inputs(pipeline, "raw", "feature_plan", newest={"raw": window}),
            metadata={"bundle": "synml_dagster.balance:DataBalance"},
        ),
        check_specs=[
            gate(pipeline, "data_balance", name, DATA_CHECKS[name], blocking=check.blocking)
            for name, check in spec.data_checks.items()
        ],
        output_required=False,
    )
    @clearly
    def data_balance_asset(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        raw: Table,
        feature_plan: FeaturePlan,
    ) -> Iterator[Any]:
        try:
            spec.check_task(feature_plan.task)
        except ValueError as problem:
            raise ConfigError(str(problem)) from problem
        if feature_plan.label.column in spec.columns:
            raise ConfigError(f"balance.columns names {feature_plan.label.column!r}, which is the label")
        numbers = feature_plan.task == "regression"
        found = data_balance(
            labelled(raw.dataframe(spark.session), feature_plan),
            spec.columns,
            label=LABEL,
            task="regression" if numbers else "classes",
            classes=None if numbers else feature_plan.label.classes,
            positive=None if numbers else spec.positive,
            reference=spec.reference,
            bins=spec.bins,
        ).model_copy(update={"label": feature_plan.label.column})
        for note in found.notes:
            context.log.info(f"balance: {note}")
        with mlflow.run(context) as run:
            run.log_metrics(
                {
                    f"balance/{d.column}/{name}": value
                    for d in found.distributions
                    for name, value in d.measures.items()
                    if value is not None
                }
            )
        yield dg.Output(found, metadata=stored_once(context, balance_metadata(found)))
        for verdict in judge_data(found, spec):
            told = {} if verdict.value is None else {"value": figure(verdict.value)}
            yield outcome(
                verdict.name, verdict.passed, verdict.said, told, only_warns=verdict.severity == "warn"
            )

    return data_balance_asset


def balance_metadata(found: DataBalance) -> dict[str, Any]:
    """Return the largest gap as a number that plots over time, and the tables."""
    from synml_dagster.plots import groups as figures

    name = "mean" if found.task == "regression" else "demographic_parity"
    told: dict[str, Any] = {"rows": found.rows}
    if (worst := found.largest(name)) is not None:
        told["largest gap"] = figure(abs(worst.gaps[name] or 0.0))
        told["between"] = f"{worst.column}: {worst.group_a} and {worst.group_b}"
    for one in found.distributions:
        told[f"distance/{one.column}"] = figure(one.measures["total_variation"] or 0.0)
    told["groups"] = picture(figures.label_by_group(found), "share of rows and of the label by group")
    told["by group"] = _groups_table(found)
    if found.changes:
        told["rows to change"] = markdown_table(
            ["column", "group", "label", "rows", "add", "take", "gap now", "gap then"],
            [
                [
                    c.column,
                    c.group,
                    c.label,
                    c.rows,
                    c.add or "",
                    c.take or "",
                    f"{c.gap_before:.1%}",
                    f"{c.gap_after:.1%}",
                ]
                for c in found.changes[:_MOST_LINES]
            ],
        )
    return told


def _groups_table(found: DataBalance) -> Any:
    shares = {(d.column, g): s for d in found.distributions for g, s in zip(d.groups, d.shares, strict=True)}
    lines = []
    for g in found.groups[:_MOST_LINES]:
        value = f"{g.mean:.5g}" if g.mean is not None else f"{(g.of_class or 0) / g.rows:.1%}"
        lines.append(
            [g.column, g.group, g.rows, f"{shares[(g.column, g.group)]:.1%}", g.label or "mean", value]
        )
    return markdown_table(["column", "group", "rows", "of all", "label", "is"], lines)
