"""The rounds of a rank: boost, evaluate, decide, keep a checkpoint, say how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from synml_dagster.learners.lightgbm.worker.bagging_seeds import later_seeds
from synml_dagster.learners.lightgbm.worker.checkpoint import Checkpoint, write_checkpoint
from synml_dagster.learners.lightgbm.worker.early_stopping import Watch
from synml_dagster.learners.lightgbm.worker.job import RankJob
from synml_dagster.learners.lightgbm.worker.loading import First, open_booster
from synml_dagster.learners.lightgbm.worker.reporting import Reporter

if TYPE_CHECKING:
    import lightgbm as lgb

    from synml_dagster.learners.lightgbm.worker.heartbeat import Line
    from synml_dagster.spark.barrier_group import Member


def boost(
    job: RankJob,
    member: Member,
    params: Mapping[str, Any],
    train: lgb.Dataset,
    valid: lgb.Dataset | None,
    first: First,
    line: Line | None,
) -> tuple[lgb.Booster, Watch]:
    """Boost up to the job's last round, or until a rank says stop; every rank ends in the same round."""
    import lightgbm as lgb
    from lightgbm.basic import _LIB, _safe_call

    watch = Watch(job.patience, job.first_metric_only, job.min_delta)
    if first.checkpoint is not None:
        watch.history, watch.best = first.checkpoint.history, dict(first.checkpoint.best)
    before = open_booster(first.text) if first.text else None
    if before is not None and (first.rounds or first.forest):
        params = {**params, **later_seeds(params, before.current_iteration())}
    booster = lgb.Booster(dict(params), train)
    if before is not None:
        _safe_call(_LIB.LGBM_BoosterMerge(booster._handle, before._handle))
    if valid is not None:
        booster.add_valid(valid, "validation")
    lead = member.rank == 0
    training_metric = lead and str(params.get("is_provide_training_metric")).casefold() in ("true", "1", "+")
    asks = line is not None and (job.patience is not None or bool(job.callbacks))
    reporter = Reporter(list(job.report_to), job.report_token, job.rounds, first.rounds) if lead else None
    saved = time.monotonic()
    earlier = before.current_iteration() - first.rounds if before is not None else 0
    for done in range(first.rounds + 1, job.rounds + 1):
        if line is not None:
            line.check()
        rate = _rate(job.learning_rates, done - 1)
        if rate is not None:
            booster.reset_parameter({"learning_rate": rate})
        _call_back(job, booster, params, done, [], before_round=True)
        booster.update(fobj=job.objective)
        if job.start is not None and before is None and done == 1:
            _into_leaves(booster, job.start)
        stop = False
        if lead:
            results = [*(booster.eval_train(_feval(job)) if training_metric else [])]
            results += booster.eval_valid(_feval(job)) if valid is not None else []
            stop = watch.record(earlier + done, results)
            stop = _call_back(job, booster, params, done, results, before_round=False) or stop
            if reporter is not None:
                reporter.say(done, watch.latest, last=stop or done == job.rounds)
            if (
                job.checkpoint
                and not stop
                and time.monotonic() - saved >= job.checkpoint_seconds
                and done < job.rounds
            ):
                text = booster.model_to_string(num_iteration=-1)
                write_checkpoint(
                    job.checkpoint, Checkpoint(job.training, done, text, watch.history, watch.best)
                )
                saved = time.monotonic()
        if asks and line is not None:
            stop = line.decide(stop)
        if stop:
            break
    if reporter is not None:
        reporter.close()
    return booster, watch


def _into_leaves(booster: lgb.Booster, start: float) -> None:
    """Put what boosting started from into the first tree, where LightGBM itself puts it."""
    leaves = booster.dump_model(num_iteration=1)["tree_info"][0]["num_leaves"]
    for leaf in range(leaves):
        booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + start)


def _rate(rates: Callable[[int], float] | tuple[float, ...] | None, i: int) -> float | None:
    if rates is None:
        return None
    return float(rates(i) if callable(rates) else rates[i])


def _feval(job: RankJob) -> Any:
    return list(job.metrics) or None


def _call_back(
    job: RankJob, booster: Any, params: Mapping[str, Any], done: int, results: list[Any], before_round: bool
) -> bool:
    """Run LightGBM's own kind of callbacks; return whether one asked to stop."""
    if not job.callbacks:
        return False
    from lightgbm.callback import CallbackEnv, EarlyStopException

    environment = CallbackEnv(booster, dict(params), done - 1, 0, job.rounds, results)
    for callback in job.callbacks:
        if bool(getattr(callback, "before_iteration", False)) == before_round:
            try:
                callback(environment)
            except EarlyStopException:
                return True
    return False
