"""The assets of a pipeline: one for each stage, and those that the description asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.assets.champion import build_champion
from synml_dagster.assets.evaluation import build_evaluation
from synml_dagster.assets.feature_plan import build_feature_plan
from synml_dagster.assets.features import build_features
from synml_dagster.assets.groups import build_data_balance, build_fairness
from synml_dagster.assets.live_evaluation import build_live_evaluation
from synml_dagster.assets.model import build_model
from synml_dagster.assets.onnx_model import build_onnx_model
from synml_dagster.assets.raw import build_raw
from synml_dagster.assets.reasons import build_attributions, build_effects, build_explanations
from synml_dagster.assets.report import build_report
from synml_dagster.assets.scoring import build_predictions
from synml_dagster.assets.shadow import build_shadow_predictions
from synml_dagster.assets.sweep import build_sweep
from synml_dagster.features import check_roles
from synml_dagster.resources.mlflow import EXPERIMENT
from synml_dagster.tables import PARTITION, RUN
from synml_dagster.tuning.choice import check_metrics
from synml_dagster.tuning.feature_choice import wanted_choices

if TYPE_CHECKING:
    from synml_dagster.pipeline.description import Description


def build_assets(pipeline: Description) -> list[dg.AssetsDefinition]:
    """Return the assets, in the order in which they run: each is made of earlier ones."""
    name, balance, why = pipeline.name, pipeline.balance, pipeline.explain.every_row
    window = pipeline.partitions.window if pipeline.partitions else None
    stages = [
        build_raw(
            name,
            pipeline.source,
            pipeline.partitions,
            pipeline.automation.minimum_rows,
            [pipeline.score.path, why.path if why else None],
            pipeline.score.keep if pipeline.score.source is None else (),
            partial(
                check_roles,
                label=pipeline.label,
                features=pipeline.features,
                split=pipeline.split,
                weight=pipeline.weight,
                group=pipeline.group,
            ),
            _keys(pipeline),
        ),
        build_feature_plan(
            name,
            carried=pipeline.score.keep if pipeline.score.source is None else (),
            learners=pipeline.searched_learners(),
            check_task=partial(check_metrics, sweep=pipeline.sweep, train=pipeline.train),
            label=pipeline.label,
            task=pipeline.task,
            features=pipeline.features,
            split=pipeline.split,
            weight=pipeline.weight,
            group=pipeline.group,
            watched={
                key: asked.columns
                for key, asked in (
                    ("drift", pipeline.drift),
                    ("checks.nulls", pipeline.checks.nulls),
                    ("checks.ranges", pipeline.checks.ranges),
                )
                if asked is not None and asked.columns
            }
            | pipeline.explain.named,
            window=window,
            choices=wanted_choices(pipeline.sweep, pipeline.train),
            binary_only=["evaluate.costs"] if pipeline.evaluate.costs else [],
            balance=balance,
            costs=pipeline.evaluate.cost_matrix,
            chosen=pipeline.explain.chosen.column if pipeline.explain.chosen else None,
        ),
        build_features(name, ("data_balance",) if balance else (), window, balance),
        build_sweep(name, pipeline.sweep, pipeline.train, pipeline.mlflow.model),
        build_model(name, pipeline.train, pipeline.sweep),
        build_evaluation(name, pipeline.promote, pipeline.evaluate),
        build_onnx_model(name, pipeline.evaluate.cost_matrix),
        build_champion(
            name,
            pipeline.promote,
            ("fairness",) if balance else (),
            pipeline.mlflow.model,
            pipeline.card,
            pipeline.source.describe(),
        ),
        build_predictions(name, pipeline.score, pipeline.partitions, pipeline.drift, pipeline.checks, why),
        build_explanations(name, pipeline.explain),
        build_report(
            name,
            pipeline.source.describe(),
            groups=balance is not None,
            card=pipeline.card,
            also=pipeline.explain.on_request,
        ),
    ]
    if balance:
        stages += [build_data_balance(name, balance, window), build_fairness(name, balance)]
    if effects := pipeline.explain.asked_effects:
        stages.append(build_effects(name, effects))
    if attributions := pipeline.explain.asked_attributions:
        stages.append(build_attributions(name, attributions))
    if pipeline.promote.shadow:
        stages.append(
            build_shadow_predictions(
                name, pipeline.promote, pipeline.score, pipeline.partitions, pipeline.mlflow.model
            )
        )
    if pipeline.live:
        labels = pipeline.live.labels or pipeline.source
        stages.append(
            build_live_evaluation(name, pipeline.live, pipeline.promote, labels, pipeline.mlflow.model)
        )
    if pipeline.mlflow.experiment is None:
        return stages
    filed = {EXPERIMENT: pipeline.mlflow.experiment}
    return [s.map_asset_specs(lambda spec: spec.merge_attributes(metadata=filed)) for s in stages]


def _keys(pipeline: Description) -> list[str]:
    """The columns by which rows of predictions are kept apart in one table."""
    score = pipeline.score
    beside = score.database is not None or bool(score.append and score.table)
    return ([RUN] if score.append else []) + ([PARTITION] if pipeline.partitions and beside else [])
