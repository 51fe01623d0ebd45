"""`sweep`: families and their parameters, searched by trials that are Spark jobs of their own."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from synml_dagster.assets.artifacts import plan_of, side
from synml_dagster.assets.guardrails import guardrails
from synml_dagster.assets.leaderboard import drawn, sweep_metadata
from synml_dagster.assets.search import Search
from synml_dagster.assets.stage import clearly, inputs, stage, stored_once
from synml_dagster.errors import ModelError
from synml_dagster.features import GROUP
from synml_dagster.files import ParquetFiles
from synml_dagster.files.filesystems import is_remote
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.resources import DataDirectory, MLflowResource, SparkResource
from synml_dagster.resources.mlflow_children import Child, ChildRuns
from synml_dagster.spark.sampling import sample_by_content
from synml_dagster.spark.session import SCRATCH
from synml_dagster.tables import Table, written_table
from synml_dagster.tuning import Candidate, SweepResult, SweepSpec, TrialRecord, run_sweep
from synml_dagster.tuning.ensemble import with_ensemble
from synml_dagster.tuning.guard import keep_default_within_noise
from synml_dagster.tuning.ledger import name_of, shown
from synml_dagster.tuning.runner import wait_for_a_task


class SweepRun(dg.Config):
    """What one run may say otherwise than the description."""

    trials: int | None = Field(
        default=None, ge=0, description="How many trials in all; 0 turns the sweep off."
    )
    minutes: float | None = Field(
        default=None, gt=0, description="No trial starts after this many minutes; those that run are stopped."
    )


def build_sweep(
    pipeline: str, sweep_spec: SweepSpec, train: TrainSpec, registered: str | None = None
) -> dg.AssetsDefinition:
    """Return the asset that searches; `registered` is the model's name in MLflow, the pipeline's own where None."""

    @dg.asset(
        **stage(
            pipeline,
            "sweep",
            io_manager_key="bundles",
            kinds={*learner_of(train.learner).kinds, "optuna"},
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
        search = Search.of(plan_of(features), features, sweep_spec, train)
        metric, maximize = search.metric
        search.check(spark.session, training=trials > 0)
        if any(learner_of(name).in_session for name in search.specs):
            spark.session.conf.set(SCRATCH, DataDirectory().path(pipeline, "sweep", "trees"))
        # MLflow takes seconds to load, and so does an executor's Python.
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(last_champion, mlflow, registered or pipeline) if trials else None
            if trials:
                wait_for_a_task(spark.session)
            absent = search.check_rows(spark.session)
            known, why = asked.result() if asked is not None else (None, "")
        if why:
            context.log.info(why)
        families = search.families(known, context.log.warning)
        for warning in absent:
            context.log.warning(warning)
        if absent:
            context.add_output_metadata(
                {"warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in absent))}
            )
        if trials == 0:
            context.add_output_metadata(
                {"trials": 0, "note": "the sweep is off; the model takes its parameters from train.params"}
            )
            return SweepResult(metric=metric, direction="maximize" if maximize else "minimize")

        storage = _storage(sweep_spec, pipeline, context)
        with (
            mlflow.run(context) as run,
            ChildRuns(run, context.log.warning) as children,
            _rows(spark, features, sweep_spec.rows, pipeline) as (rows, validation),
        ):
            folds = search.folds(spark.session, rows, validation)
            key = search.key(folds)
            if sweep_spec.against and sweep_spec.pruning:
                context.log.info("no trial is stopped half-way: quality is not all that is searched for")
            answers = DataDirectory().kept_here(pipeline, "sweep", "answers", name_of(key, sweep_spec.seed))
            runner, parallel = search.runner(spark.session, rows, validation, folds, answers)
            context.log.info(
                f"{trials} trials of {', '.join(search.specs)}, {parallel} at a time, measured by {metric} on {folds.why}"
            )
            result = run_sweep(
                runner,
                families=families,
                storage=storage,
                key=key,
                metric=metric,
                maximize=maximize,
                trials=trials,
                minutes=config.minutes or sweep_spec.minutes,
                seed=sweep_spec.seed,
                sampler=sweep_spec.sampler,
                aims=sweep_spec.aims,
                parallel=parallel,
                cancel=runner.cancel,
                on_trial=_teller(
                    context, metric, Pace(trials, config.minutes or sweep_spec.minutes), children
                ),
            ).model_copy(update={"rows": rows.count(), "validation": folds.why})
            result = keep_default_within_noise(
                result, next(iter(search.specs)), search.measure, answers, folds.ratio
            )
            if sweep_spec.ensemble:
                result = with_ensemble(result, search.measure, answers, sweep_spec.ensemble)
            for note in result.notes:
                context.log.info(note)
            if result.resumed:
                context.log.info(f"{result.resumed} trials were there from an earlier run over the same rows")
            pictures = drawn(result)
            context.add_output_metadata(
                stored_once(
                    context,
                    sweep_metadata(
                        result,
                        search.specs,
                        pictures,
                        guardrails(search.plan, result.rows, folds, metric),
                    ),
                )
            )
            run.log_metrics(
                {
                    f"sweep/{metric}": result.best_value,
                    f"sweep/ensemble/{metric}": result.ensemble_value,
                    "sweep/trials": len(result.trials),
                }
            )
            run.log_pictures(pictures)
        return result

    return sweep


def last_champion(mlflow: MLflowResource, registered: str) -> tuple[tuple[str, Candidate] | None, str]:
    """Return the family and the parameters that the champion's own sweep chose, None where there is none to be had, and why.

    Of an ensemble it is the heaviest member. Runs beside the session, and so says nothing by itself.
    """
    version = mlflow.champion(registered)
    if version is None:
        return None, ""
    try:
        chosen = SweepResult.load(mlflow.download(version))
    except (ModelError, OSError, ValueError) as problem:
        return None, f"the parameters of champion {version.version} are not tried: {problem}"
    if chosen.ensemble:
        heaviest = chosen.ensemble[0]
        family, params = heaviest.learner, heaviest.params
    else:
        family, params = chosen.learner or "lightgbm", chosen.best_params
    return ((family, Candidate(f"champion {version.version}", params)) if params else None), ""


def _storage(spec: SweepSpec, pipeline: str, context: dg.AssetExecutionContext) -> str | Path:
    if spec.storage is not None:
        context.log.info(f"the trials are kept in {shown(spec.storage)}")
        return spec.storage
    storage = DataDirectory().kept_here(pipeline, "sweep", "studies.db")
    if is_remote(DataDirectory().resolved()):
        context.log.info(
            f"the study is in {str(storage)!r}: a database cannot be a file of an object store, and another host starts a new one"
        )
    return storage


class Pace:
    """Says how long a sweep may go on: at the pace so far, and no longer than its minutes.

    Parameters
    ----------
    trials, minutes
        That it has in all.
    now
        Seconds of a clock.
    """

    def __init__(self, trials: int, minutes: float, now: Callable[[], float] = time.monotonic) -> None:
        self.trials, self._now = trials, now
        self._began, self._ended = now(), 0
        self._end = self._began + 60 * minutes

    def left(self, number: int) -> str:
        """Take the end of the trial of that number, from 0, and return what is left, in words; nothing at the end."""
        self._ended += 1
        others = max(0, self.trials - 1 - number)
        now = self._now()
        seconds = min((now - self._began) / self._ended * others, self._end - now)
        if others == 0 or seconds <= 0:
            return ""
        return f", about {seconds / 60:.0f} min to go" if seconds >= 90 else f", about {seconds:.0f} s to go"


def _teller(
    context: dg.AssetExecutionContext, metric: str, pace: Pace, children: ChildRuns
) -> Callable[[TrialRecord, TrialRecord | None], None]:
    def tell(trial: TrialRecord, best: TrialRecord | None) -> None:
        spread = f" ± {trial.spread:.2g}" if trial.spread is not None else ""
        ended = "stopped" if trial.state == "pruned" else "failed"
        value = (
            f"{metric} {trial.value:.6g}{spread}" if trial.value is not None else f"{ended}, {trial.reason}"
        )
        leads = f" (best {best.value:.6g}, trial {best.number}, {best.learner})" if best else ""
        context.log.info(
            f"trial {trial.number} of {pace.trials}, {trial.learner} ({trial.origin}): {value} in {trial.seconds:.1f} s{leads}{pace.left(trial.number)}"
        )
        children.add(
            Child(
                f"trial {trial.number}, {trial.learner} ({trial.origin})",
                {"learner": trial.learner, **trial.params},
                {
                    f"sweep/{metric}": trial.value,
                    "standard_error": trial.spread,
                    "rounds": trial.rounds,
                    "seconds": trial.seconds,
                    "kilobytes": trial.kilobytes,
                },
                {
                    "synml.trial": str(trial.number),
                    "synml.origin": trial.origin,
                    "synml.reason": trial.reason,
                },
                failed=trial.state == "fail",
            )
        )

    return tell


@contextmanager
def _rows(
    spark: SparkResource, features: Table, most: int, pipeline: str
) -> Iterator[tuple[ParquetFiles, ParquetFiles]]:
    """Lend the training and the validation rows, at most `most` of each, chosen by their content."""
    # Under the data directory, which all executors reach; this process's own temporary folder they do not.
    place = DataDirectory()
    with (
        _sampled(spark, side(features, "train"), most, place.path(pipeline, "sweep", "sample")) as rows,
        _sampled(
            spark, side(features, "validation"), most, place.path(pipeline, "sweep", "held")
        ) as validation,
    ):
        yield rows, validation


@contextmanager
def _sampled(spark: SparkResource, files: ParquetFiles, most: int, scratch: str) -> Iterator[ParquetFiles]:
    """Lend at most `most` rows in files of their own; chosen by their content, so that partitioning does not matter."""
    rows = files.count()
    if rows <= most:
        yield files
        return
    frame = files.dataframe(spark.session)
    # Part of a query is another query: those of a ranking are taken whole, as its model's own rows are.
    sample = sample_by_content(frame, most, rows, by=[GROUP] if GROUP in frame.columns else None)
    with written_table(sample, scratch) as table:
        yield table.files()
