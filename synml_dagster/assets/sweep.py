"""`sweep`: Optuna's search over the learner's parameters, one trained model per trial."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from synml_dagster.assets.fitted import plan_of
from synml_dagster.assets.split import check_classes, check_queries, check_weights, side
from synml_dagster.assets.stage import clearly, figure, inputs, markdown_table, picture, stage
from synml_dagster.files import ParquetFiles
from synml_dagster.files.filesystems import is_remote
from synml_dagster.learners import Learner, TrainSpec, learner_of
from synml_dagster.resources import DataDirectory, MLflowResource, SparkResource
from synml_dagster.spark.sampling import sample_by_content
from synml_dagster.tables import Table, written_table
from synml_dagster.tuning import SweepResult, SweepSpec, TrialOutcome, TrialRecord, run_sweep


class SweepRun(dg.Config):
    """What one run may say otherwise than the description."""

    trials: int | None = Field(
        default=None, ge=0, description="How many trials in all; 0 turns the sweep off."
    )
    minutes: float | None = Field(default=None, gt=0, description="No trial starts after this many minutes.")


def build_sweep(pipeline: str, sweep_spec: SweepSpec, train: TrainSpec) -> dg.AssetsDefinition:
    """Return the asset that searches."""
    learner = learner_of(train.learner)

    @dg.asset(
        **stage(
            pipeline,
            "sweep",
            io_manager_key="bundles",
            kinds={*learner.kinds, "optuna"},
            ins=inputs(pipeline, "features"),
        )
    )
    @clearly
    def sweep(
        context: dg.AssetExecutionContext,
        config: SweepRun,
        spark: SparkResource,
        mlflow: MLflowResource,
        features: Table,
    ) -> SweepResult:
        trials = sweep_spec.trials if config.trials is None else config.trials
        minutes = config.minutes or sweep_spec.minutes
        feature_plan = plan_of(features)
        metric, maximize = learner.metric(feature_plan, train)
        direction = "maximize" if maximize else "minimize"
        learner.params(feature_plan, train, {})  # says what does not go together before anything is trained
        check_weights(spark.session, feature_plan, features)
        check_queries(spark.session, feature_plan, features)
        space = _space(learner, sweep_spec, train)
        if absent := check_classes(spark.session, feature_plan, features):
            for warning in absent:
                context.log.warning(warning)
            context.add_output_metadata(
                {"warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in absent))}
            )
        if trials == 0:
            context.add_output_metadata(
                {"trials": 0, "note": "the sweep is off; the model takes its parameters from train.params"}
            )
            return SweepResult(metric=metric, direction=direction)

        validation = side(features, "validation")
        storage = DataDirectory().kept_here(pipeline, "sweep", "studies.db")
        if is_remote(DataDirectory().resolved()):
            context.log.info(
                f"the study is in {str(storage)!r}: a database cannot be a file of an object store, and another host starts a new one"
            )
        # Under the data directory, which all executors reach; this process's own temporary folder they do not.
        scratch = DataDirectory().path(pipeline, "sweep", "sample")
        with _sampled(spark, side(features, "train"), sweep_spec.rows, scratch) as rows:

            def train_trial(params: dict[str, Any]) -> TrialOutcome:
                model = learner.fit(spark.session, feature_plan, train, params, rows, validation)
                return TrialOutcome(value=model.validation_score(metric)[1], rounds=model.iterations)

            def on_trial(trial: TrialRecord, best: TrialRecord) -> None:
                context.log.info(
                    f"trial {trial.number}: {metric} {trial.value:.6g} in {trial.rounds} rounds, {trial.seconds:.1f} s "
                    f"(best {best.value:.6g}, trial {best.number})"
                )

            result = run_sweep(
                train_trial,
                space=space,
                storage=storage,
                key={
                    "plan": feature_plan.identity,
                    "params": learner.params(feature_plan, train, {}),
                    "train": train.model_dump(),
                    "rows": sweep_spec.rows,
                },
                metric=metric,
                maximize=maximize,
                trials=trials,
                minutes=minutes,
                seed=sweep_spec.seed,
                start=learner.start(),
                on_trial=on_trial,
            ).model_copy(update={"rows": rows.count()})
        if result.resumed:
            context.log.info(f"{result.resumed} trials were there from an earlier run over the same rows")
        context.add_output_metadata(_metadata(result))
        with mlflow.run(context) as run:
            run.log_metrics({f"sweep/{metric}": result.best_value or 0.0, "sweep/trials": len(result.trials)})
        return result

    return sweep


def _space(learner: Learner, spec: SweepSpec, train: TrainSpec) -> dict[str, Any]:
    """Return what is searched: what the description does not decide."""
    space = learner.space() if spec.space is None else learner.checked_space(spec.space)
    return {name: r for name, r in space.items() if name not in train.params}


@contextmanager
def _sampled(spark: SparkResource, files: ParquetFiles, most: int, scratch: str) -> Iterator[ParquetFiles]:
    """Lend at most `most` rows in files of their own; chosen by their content, so that partitioning does not matter."""
    rows = files.count()
    if rows <= most:
        yield files
        return
    sample = sample_by_content(files.dataframe(spark.session), most, rows)
    with written_table(sample, scratch) as table:
        yield table.files()


def _history(result: SweepResult) -> bytes:
    from synml_dagster.plots import training as training_figures

    values = {t.number: t.value for t in result.trials if t.value is not None}
    best = dict(result.best_so_far())
    return training_figures.trials(list(best), [values[n] for n in best], list(best.values()), result.metric)


def _metadata(result: SweepResult) -> dict[str, Any]:
    from synml_dagster.plots import training as training_figures

    trials = sorted(result.trials, key=lambda t: t.number)
    names = sorted({name for t in trials for name in t.params})
    told: dict[str, Any] = {
        "trials": len(trials),
        "resumed trials": result.resumed,
        "metric": result.metric,
        "best value": figure(result.best_value or 0.0),
        "best trial": result.best_trial,
        "best parameters": dg.MetadataValue.json(result.best_params),
        "history": picture(_history(result), "each trial and the best so far"),
        "all trials": markdown_table(
            ["trial", result.metric, "rounds", "s", *names],
            [
                [t.number, "failed" if t.value is None else f"{t.value:.6g}", t.rounds, f"{t.seconds:.1f}"]
                + [
                    f"{t.params[n]:.4g}" if isinstance(t.params.get(n), float) else t.params.get(n)
                    for n in names
                ]
                for t in trials
            ],
        ),
    }
    if result.importance:
        told["parameter importance"] = picture(
            training_figures.bars(result.importance, "FileSplit of the metric's variance"),
            "importance of each parameter",
        )
    return told
