"""`feature_plan`: the recipe from raw columns to model inputs, fitted by Spark."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg

from synml_dagster.assets.groups.training_weights import check_reweighing
from synml_dagster.assets.stage import clearly, gate, inputs, markdown_table, outcome, stage
from synml_dagster.checks import BalanceSpec, check_columns
from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import CostMatrix
from synml_dagster.explain import check_chosen
from synml_dagster.features import (
    FeatureChoices,
    FeaturePlan,
    FeatureSpec,
    SplitSpec,
    changes_since,
    fit_plan,
)
from synml_dagster.io_managers.bundle import last_bundle
from synml_dagster.learners import learner_of
from synml_dagster.resources import SparkResource
from synml_dagster.tables import Table


def build_feature_plan(
    pipeline: str,
    *,
    label: str,
    task: Literal["auto", "binary", "multiclass", "regression", "ranking"],
    features: FeatureSpec,
    split: SplitSpec,
    weight: str | None,
    group: str | None,
    carried: Sequence[str] | None = (),
    learners: Sequence[str] = ("lightgbm",),
    check_task: Callable[[str], None] | None = None,
    watched: Mapping[str, Sequence[str]] | None = None,
    window: int | None = None,
    choices: FeatureChoices | None = None,
    binary_only: Sequence[str] = (),
    balance: BalanceSpec | None = None,
    costs: CostMatrix | None = None,
    chosen: str | None = None,
) -> dg.AssetsDefinition:
    """Return the asset that fits the plan.

    `carried` are the columns that predictions of these rows keep, None for all; `watched` are those that are compared with the
    training rows before they are scored, by the part of the description that names them: features have to be made of them. `choices` are other ways to make features, which the
    sweep is to choose from. `check_task` refuses a task that the description does not go with. `binary_only` are the options of the description that ask for two classes. Of partitions
    the newest `window` are taken.
    """

    @dg.asset(
        **stage(
            pipeline,
            "feature_plan",
            io_manager_key="bundles",
            ins=inputs(pipeline, "raw", newest={"raw": window}),
            metadata={"bundle": "synml_dagster.features:FeaturePlan"},
        ),
        check_specs=[
            gate(
                pipeline,
                "feature_plan",
                "warnings",
                "Nothing in the table asks for a person: no leak, no guess in doubt, no lost rows, nothing otherwise than when the last plan was fitted.",
            )
        ],
        output_required=False,
    )
    @clearly
    def feature_plan(
        context: dg.AssetExecutionContext, spark: SparkResource, bundles: dg.ResourceParam[Any], raw: Table
    ) -> Iterator[Any]:
        previous = last_bundle(bundles, FeaturePlan, *context.asset_key.path)
        plan = fit_plan(
            raw.nearest(spark.session),
            name=pipeline,
            label=label,
            task=task,
            features=features,
            split=split,
            weight=weight,
            group=group,
            spark=spark.session,
            # Rows stay where the last plan has put them, or a champion would be measured on rows that it has learnt.
            choices=choices,
            previous=previous,
        )
        if chosen is not None:
            check_chosen(chosen, dict(raw.dataframe(spark.session).dtypes))
        for key, columns in (watched or {}).items():
            check_columns(plan, columns, key)
        _check_options(plan, binary_only, costs)
        for learner in learners:
            learner_of(learner).check_task(plan.task)
        if check_task is not None:
            check_task(plan.task)
        check_reweighing(balance, plan, learners)
        kept = [f["name"] for f in json.loads(raw.schema_json)["fields"]] if carried is None else carried
        _check_carried(plan, kept, costs)
        # Not the plan's own words: the same rows give the same plan, whatever was before.
        changes = changes_since(plan, previous, features.declared())
        warnings, notes = [*changes.warnings, *plan.warnings], [*changes.notes, *plan.notes]
        for warning in warnings:
            context.log.warning(warning)
        for note in notes:
            context.log.info(note)
        yield dg.Output(plan, metadata=plan_metadata(plan, warnings, notes))
        said = "; ".join(warnings[:3]) or "no warnings"
        more = f"; and {len(warnings) - 3} more" if len(warnings) > 3 else ""
        yield outcome("warnings", not warnings, said + more, only_warns=True)

    return feature_plan


def _check_options(plan: FeaturePlan, binary_only: Sequence[str], costs: CostMatrix | None) -> None:
    """Refuse options of the description that are about another number of classes than the label has."""
    label = plan.label.column
    if binary_only and plan.task != "binary":
        raise ConfigError(
            f"{binary_only[0]} is about a yes or a no, and {label!r} makes the task {plan.task}; leave it out"
        )
    if costs is None:
        return
    if plan.task != "multiclass":
        raise ConfigError(
            f"evaluate.cost_matrix is about three classes or more, and {label!r} makes the task {plan.task}; {'take evaluate.costs' if plan.task == 'binary' else 'leave it out'}"
        )
    costs.matrix(plan.label.classes or [])


def _check_carried(plan: FeaturePlan, kept: Sequence[str], costs: CostMatrix | None) -> None:
    """Refuse columns to carry along that are called as those of predictions are."""
    answers = ["probability"] * bool(plan.label.classes) + ["decision", "expected_cost"] * bool(costs)
    if taken := [n for n in kept if n.casefold() in answers]:
        raise ConfigError(
            f"The table has a column {taken[0]!r}, and so do predictions of {'classes' if taken[0].casefold() == 'probability' else 'evaluate.cost_matrix'}. Name the columns to carry along without it in score.keep, or rename it in the source."
        )


def plan_metadata(plan: FeaturePlan, warnings: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    """Return what the page of `feature_plan` shows: the task, what each column is used as, and what asks for a person."""
    metadata: dict[str, Any] = {
        "task": plan.task,
        "label": plan.label.column,
        "classes": ", ".join(str(c) for c in plan.label.classes or []) or "-",
        "inputs": len(plan.feature_names),
        "rows without a label": plan.label.dropped_null_rows,
        "fingerprint": plan.fingerprint,
        "columns": markdown_table(
            ["column", "used as", "inputs"],
            [(c.name, c.kind, len(c.features)) for c in plan.columns],
        ),
    }
    if plan.alternatives:
        metadata["to choose from"] = markdown_table(
            ["columns", "choice", "inputs"],
            [
                (a.kind, json.dumps(a.when), sum(len(c.features) for c in a.columns))
                for a in plan.alternatives
            ],
        )
    return metadata | {
        "left out": markdown_table(["column", "why"], [(d.column, d.reason) for d in plan.dropped]),
        "warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in warnings) or "none"),
        "notes": dg.MetadataValue.md("\n".join(f"- {n}" for n in notes) or "none"),
    }
