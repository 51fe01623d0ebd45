"""What the page of `sweep` shows: the decision, the leaderboard with the YAML of each trial, guardrails and pictures."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg

from synml_dagster.assets.guardrails import Guardrail
from synml_dagster.assets.stage import figure, markdown_table, pictures
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.tuning import SweepResult, TrialRecord
from synml_dagster.tuning.aims import WORDS, Cost
from synml_dagster.tuning.feature_choice import said, split_choice

_SHOWN = 50
_FEWEST, _PARAMETERS = 4, 8


def sweep_metadata(
    result: SweepResult,
    specs: Mapping[str, TrainSpec],
    drawn: Mapping[str, bytes],
    looked_at: Sequence[Guardrail] = (),
) -> dict[str, Any]:
    """Return the metadata of a sweep, its metric first."""
    told: dict[str, Any] = {
        result.metric: figure(result.best_value or 0.0),
        "learner": result.learner,
        "best trial": result.best_trial,
        "trials": len(result.trials),
        "resumed trials": result.resumed,
        "seconds of all trials": round(sum(t.seconds for t in result.trials), 1),
        "measured on": result.validation,
        "best parameters": dg.MetadataValue.json(result.best_params),
        "leaderboard": _leaderboard(result, specs),
        "pictures": pictures(drawn),
    }
    if result.ensemble:
        told = {f"ensemble {result.metric}": figure(result.ensemble_value or 0.0), **told}
        told["ensemble"] = markdown_table(
            ["weight", "trial", "learner"],
            [[f"{m.weight:.3f}", m.trial, learner_of(m.learner).title] for m in result.ensemble],
        )
    if looked_at:
        told["guardrails"] = markdown_table(["looked at", "", "found and done"], [list(g) for g in looked_at])
    if result.notes:
        told["decisions"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in result.notes))
    if failed := [t for t in result.trials if t.value is None]:
        told["trials without a value"] = markdown_table(
            ["trial", "learner", "state", "why", "parameters"],
            [[t.number, t.learner, t.state, t.reason or "–", json.dumps(t.params)] for t in failed[:_SHOWN]],
        )
    return told


def as_yaml(trial: TrialRecord, spec: TrainSpec) -> str:
    """Return the parts of a description that train a trial's model again."""
    choice, params = split_choice(said(trial.params))
    train = spec.model_dump(exclude_unset=True) | {"learner": trial.learner}
    features = {"features": dict(choice)} if choice else {}
    return json.dumps({**features, "train": train | {"params": {**params, **spec.params}}})


def _aim(result: SweepResult, trial: TrialRecord, front: Collection[int]) -> str:
    if not result.aims.held_by(trial):
        return "over the limits"
    return "on the front" if trial.number in front else ""


def _leaderboard(result: SweepResult, specs: Mapping[str, TrainSpec]) -> dg.MarkdownMetadataValue:
    marks, front = bool(result.against or result.aims.limits), {t.number for t in result.front()}
    rows = []
    for place, trial in enumerate(result.leaderboard()[:_SHOWN], 1):
        spread = f" ± {trial.spread:.2g}" if trial.spread is not None else ""
        rows.append(
            [
                place,
                trial.number,
                learner_of(trial.learner).title,
                trial.origin,
                f"{trial.value:.6g}{spread}",
                "–" if trial.rounds is None else trial.rounds,
                f"{trial.seconds:.1f}",
                "–" if trial.kilobytes is None else f"{trial.kilobytes:,.0f}",
                "–" if trial.milliseconds is None else f"{trial.milliseconds:.2f}",
                *([_aim(result, trial, front)] if marks else []),
                f"`{as_yaml(trial, specs[trial.learner])}`" if trial.learner in specs else "–",
            ]
        )
    return markdown_table(
        [
            "",
            "trial",
            "learner",
            "from",
            result.metric,
            "rounds",
            "s",
            "kB",
            "ms / 1,000 rows",
            *(["limits and front"] if marks else []),
            "again, as YAML",
        ],
        rows,
    )


def drawn(result: SweepResult) -> dict[str, bytes]:
    """Return the pictures of a sweep by their captions."""
    from synml_dagster.plots import training as training_figures

    values = {t.number: t.value for t in result.trials if t.value is not None}
    best = dict(result.best_so_far())
    board = [(f"{t.number} {t.learner}, {t.origin}", t.value or 0.0, t.spread) for t in result.leaderboard()]
    found = {
        "each trial and the best so far": training_figures.trials(
            list(best), [values[n] for n in best], list(best.values()), result.metric
        ),
        "the best trials": training_figures.leaderboard(board, result.metric),
    }
    for cost in result.against:
        found[f"{result.metric} against {cost}"] = training_figures.front(
            _points(result.leaderboard(), cost),
            _points(result.front(), cost),
            _points([t for t in result.trials if t.number == result.best_trial], cost),
            result.aims.limits.get(cost),
            (WORDS[cost], result.metric),
        )
    found |= _searched(result)
    if result.importance:
        found[f"which parameters of {result.learner} mattered"] = training_figures.bars(
            result.importance, f"Share of the variance of {result.metric}"
        )
    return found


def _searched(result: SweepResult) -> dict[str, bytes]:
    """Return how the winning family's values lie over its parameters: one by one, and all together."""
    from synml_dagster.plots import search as search_figures

    own = [t for t in result.leaderboard() if t.learner == result.learner]
    names = [n for n in own[0].params if len({str(t.params.get(n)) for t in own}) > 1] if own else []
    names = sorted(names, key=lambda n: -result.importance.get(n, 0.0))[:_PARAMETERS]
    if len(own) < _FEWEST or not names:
        return {}
    tried = [({n: t.params.get(n) for n in names}, t.value or 0.0) for t in own]
    maximize = result.direction == "maximize"
    found = {
        f"{result.metric} by each parameter of {result.learner}": search_figures.slices(tried, result.metric)
    }
    if len(names) > 1:
        found[f"parameters of {result.learner} together"] = search_figures.parallel(
            tried, result.metric, maximize
        )
    return found


def _points(trials: Sequence[TrialRecord], cost: Cost) -> list[tuple[float, float]]:
    return [
        (getattr(t, cost), t.value) for t in trials if t.value is not None and getattr(t, cost) is not None
    ]
