"""`model`: the learner on all training rows, with the sweep's parameters."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from synml_dagster.assets.artifacts import FittedPipeline, plan_of, side
from synml_dagster.assets.groups.training_weights import reweighing_of
from synml_dagster.assets.stage import (
    Rarely,
    clearly,
    figure,
    get_ready_beside,
    inputs,
    picture,
    stage,
    stored_once,
)
from synml_dagster.errors import TrainingError
from synml_dagster.features import Choice, FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.learners import TrainedModel, TrainSpec, learner_of, refitted
from synml_dagster.learners.ensemble import Member, combined
from synml_dagster.learners.one_process.rows import background, read_rows
from synml_dagster.resources import DataDirectory, MLflowResource, SparkResource
from synml_dagster.tables import Table
from synml_dagster.tuning import SweepResult, SweepSpec
from synml_dagster.tuning.choice import train_spec
from synml_dagster.tuning.feature_choice import said, split_choice
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.trial import time_to_score

_OF_SEVERAL = (
    "The model of the family and with the parameters that won the sweep, trained on all training rows."
)


Fits = tuple[TrainedModel, TrainedModel]
"""What the validation rows were held out from, and the model to keep: the same, or one that was trained again on these too."""


class ModelRun(dg.Config):
    """What one run may say otherwise than the description."""

    rounds: int | None = Field(default=None, ge=1, description="The most boosting rounds.")


def build_model(pipeline: str, train: TrainSpec, search: SweepSpec | None = None) -> dg.AssetsDefinition:
    """Return the asset that trains."""
    planned = learner_of(train.learner)

    @dg.asset(
        **stage(
            pipeline,
            "model",
            io_manager_key="bundles",
            description=planned.summary if search is None or search.learners is None else _OF_SEVERAL,
            kinds={*planned.kinds, "spark"},
            ins=inputs(pipeline, "features", "sweep"),
        )
    )
    @clearly
    def model(
        context: dg.AssetExecutionContext,
        config: ModelRun,
        spark: SparkResource,
        mlflow: MLflowResource,
        features: Table,
        sweep: SweepResult,
    ) -> FittedPipeline:
        from synml_dagster.plots import training as training_figures

        began = time.monotonic()
        get_ready_beside(mlflow)
        whole, (choice, params) = plan_of(features), split_choice(sweep.best_params)
        # What was not chosen is in the table and not in the model: whatever looks at it sees the chosen features alone.
        choices = [split_choice(m.params)[0] for m in sweep.ensemble] or [choice]
        feature_plan = whole.chosen_together(choices)
        train_rows, validation = side(features, "train"), side(features, "validation")

        def fit(name: str, params: Mapping[str, Any], choice: Choice, part: str = "") -> Fits:
            own, family, spec = whole.chosen(choice), learner_of(name), _spec(name, train, config.rounds)
            say = Rarely(lambda progress: context.log.info(str(progress)))
            given = (spark.session, own, spec, params, train_rows, validation)
            place = _checkpoint(context, pipeline, own) + part
            first = family.fit(*given, on_progress=say, checkpoint=place)
            if not train.refit:
                return first, first
            return first, refitted(first, family, *given, on_progress=say, checkpoint=place + "-refit")

        name = sweep.learner or train.learner
        trained = (
            fit(name, params, choice)[1]
            if not sweep.ensemble
            else _together(sweep, fit, feature_plan, validation, spark)
        )
        kept = _within(sweep, trained, validation, feature_plan, spark)
        learner = learner_of(trained.learner)
        metric, value = trained.validation_score()
        warned = [
            w
            for n in {m.learner for m in sweep.ensemble} or {name}
            for w in learner_of(n).warnings(feature_plan, _spec(n, train, config.rounds))
        ]
        worries = [*warned, *kept, *trained.facts.get("notes", [])]
        for worry in worries:
            context.log.warning(worry)
        importance = training_figures.importance(trained.importance(), learner.importance_name)
        drawn = {"importance of features": importance}
        told: dict[str, Any] = {
            f"validation/{metric}": figure(value),
            "learner": learner.title,
            **_made_as(sweep, choice),
            "rounds": trained.iterations,
            "seconds": round(time.monotonic() - began, 2),
            "importance": picture(importance, f"{learner.importance_name}, by feature"),
            "parameters": dg.MetadataValue.json(trained.params),
        }
        if (weighed := reweighing_of(features)) is not None:
            context.log.info(f"balance.reweigh: {weighed.said()}")
            told["reweighed by"] = " & ".join(weighed.columns)
        if worries:
            told["warnings"] = dg.MetadataValue.md("\n".join(f"- {worry}" for worry in worries))
        if trained.iterations > 1:
            history = training_figures.training_history(trained.history, trained.best_iteration)
            told["training history"] = picture(history, f"metric by {learner.round_name}")
            drawn["training history"] = history
        context.add_output_metadata(stored_once(context, told))
        with mlflow.run(context) as run:
            run.log_params(
                {k: v for k, v in trained.params.items() if v is not None} | {"rounds": trained.iterations}
            )
            run.log_metrics({f"validation/{metric}": value})
            run.log_history(
                {f"rounds/{data}/{name}": v for data, m in trained.history.items() for name, v in m.items()}
            )
            run.log_pictures(drawn)
        return FittedPipeline.of(trained, feature_plan, sweep, features)

    return model


def _within(
    sweep: SweepResult, model: TrainedModel, validation: ParquetFiles, plan: FeaturePlan, spark: SparkResource
) -> list[str]:
    """Hold the model on all rows to the sweep's limits; trials may have seen a sample of them.

    Returns
    -------
    list of str
        A warning where it takes longer to score than the limit: unlike its size, that differs from one moment to the next.

    Raises
    ------
    TrainingError
        It is larger than the limit.
    """
    limits = sweep.aims.limits
    size = len(model.text) / 1024
    if (most := limits.get("kilobytes")) is not None and size > most:
        raise TrainingError(
            f"the model takes {size:,.0f} kB and sweep.most_kilobytes is {most:g}: trained on all rows it is larger than the trial that was chosen, which saw {sweep.rows:,}. Raise sweep.most_kilobytes, set sweep.rows to all rows, or bound the model by train.params."
        )
    if (longest := limits.get("milliseconds")) is None:
        return []
    held = read_rows(spark.session, validation, plan.feature_names, most_rows=1000)
    took = time_to_score(model, held)
    if took <= longest:
        return []
    return [
        f"1,000 rows took {took:.2f} ms to score and sweep.most_milliseconds is {longest:g}: trained on all rows the model is slower than the trial that was chosen, or this host was busy"
    ]


def _spec(name: str, train: TrainSpec, rounds: int | None) -> TrainSpec:
    """Return how a family is trained in this run."""
    spec = train_spec(name, train)
    if rounds is None or "rounds" in learner_of(name).no_such_keys:
        return spec
    return TrainSpec(**spec.model_dump(exclude_unset=True) | {"rounds": rounds})


def _together(
    sweep: SweepResult,
    fit: Callable[..., Fits],
    plan: FeaturePlan,
    validation: ParquetFiles,
    spark: SparkResource,
) -> TrainedModel:
    """Train the members of the sweep's ensemble, each on its own features of all training rows, and return them as one model."""
    members, firsts = [], []
    for i, member in enumerate(sweep.ensemble):
        choice, params = split_choice(member.params)
        first, last = fit(member.learner, params, choice, f"-member-{i}")
        members.append(Member(last, member.weight))
        firsts.append(Member(first, member.weight))
    held = read_rows(spark.session, validation, plan.feature_names)
    behind = background(held.X)
    model = combined(members, {}, behind, plan.feature_names)
    held_out = combined(firsts, {}, behind, plan.feature_names) if firsts != members else model
    measure = Measure.of(plan.task, plan.linear_gain)
    value = measure.value(*measure.losses(held_out.predict(held.X), held))
    model.history = {"validation": {measure.metric: [value]}}
    return model


def _made_as(sweep: SweepResult, choice: Choice) -> dict[str, Any]:
    """Return how features are made where a sweep chose it: of an ensemble by member."""
    if not sweep.ensemble:
        return {"features": dg.MetadataValue.json(dict(choice))} if choice else {}
    found = {f"trial {m.trial}": dict(split_choice(said(m.params))[0]) for m in sweep.ensemble}
    return {"features": dg.MetadataValue.json(found)} if any(found.values()) else {}


def _checkpoint(context: dg.AssetExecutionContext, pipeline: str, plan: FeaturePlan) -> str:
    """Where the trees so far are kept: found again by a re-execution of the run, and never by one of other rows or features."""
    run = context.run.root_run_id or context.run.run_id
    return DataDirectory().path(pipeline, "checkpoints", f"{run}-{plan.identity}")
