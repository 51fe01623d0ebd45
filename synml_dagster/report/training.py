"""What the report says of how the model was trained and its parameters were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.report.picture import picture

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs, Sweep


_SHOWN = 8


def _board(sweep: Sweep, on_test_rows: float | None) -> list[tuple[str, str, str, str, str, str]]:
    """Return the best trials as rows of a table: number, learner, where its parameters come from, value, test value, seconds.

    Test rows are for the model that won, alone: what they say of others would tempt one to choose by it.
    """
    from synml_dagster.learners import learner_of

    tested = f"{on_test_rows:.5g}" if on_test_rows is not None else ""
    best = [
        (
            str(t.number),
            learner_of(t.learner).title if t.learner else "",
            t.origin,
            f"{t.value:.5g}" + (f" ± {t.spread:.1g}" if t.spread is not None else ""),
            tested if t.number == sweep.best_trial and not sweep.ensemble else "",
            f"{t.seconds:.1f}",
        )
        for place, t in enumerate(sweep.leaderboard())
        # The winner is not always among the best: the defaults are kept where nothing is better by more than noise.
        if place < _SHOWN or t.number == sweep.best_trial
    ]
    if sweep.ensemble and sweep.ensemble_value is not None:
        together = (
            "",
            "Together",
            f"{len(sweep.ensemble)} trials",
            f"{sweep.ensemble_value:.5g}",
            tested,
            "",
        )
        return [together, *best]
    return best


def training(inputs: ReportInputs, pictures: bool = True) -> dict[str, Any] | None:
    """Return how the model was trained and, where a sweep ran, how its parameters were found; with pictures or without."""
    model, sweep = inputs.model, inputs.sweep
    if model is None and (sweep is None or not sweep.trials):
        return None
    from synml_dagster.learners import learner_of
    from synml_dagster.plots import training as training_figures

    drawn, facts, params = [], [], []
    if model is not None:
        family = learner_of(model.learner)
        facts.append(("Learner", family.title))
        round_name = family.round_name
        if pictures and any(
            len(values) > 1 for metrics in model.history.values() for values in metrics.values()
        ):
            svg = training_figures.training_history(model.history, model.best_iteration, "svg")
            text = f"The metric after each {round_name}."
            if model.best_iteration:
                text += (
                    " The dot marks the best round; the model was then trained again on training and validation rows."
                    if "refit" in model.facts
                    else f" The model keeps the first {model.best_iteration} rounds; the dot marks the last."
                )
            drawn.append(picture("Training history", text, svg))
        facts.append(("Objective", model.objective))
        if model.best_iteration:
            kept = model.iterations if "refit" in model.facts else model.best_iteration
            facts.append(("Rounds kept", f"{kept:,}"))
        params = [
            (name, str(value)) for name, value in sorted(model.params.items()) if value not in (None, "", [])
        ]
    if sweep is not None and sweep.trials:
        best = sweep.best_so_far()
        values = {t.number: t.value for t in sweep.trials if t.value is not None}
        if best and pictures:
            numbers = [number for number, _ in best]
            svg = training_figures.trials(
                numbers, [values[n] for n in numbers], [v for _, v in best], sweep.metric, "svg"
            )
            text = f"Each dot is a trained model with other parameters; the line is the best {sweep.metric} so far."
            drawn.append(picture("Parameter sweep", text, svg))
        if sweep.importance and pictures:
            svg = training_figures.bars(
                sweep.importance,
                f"Share of the variance of {sweep.metric}",
                12,
                "svg",
                "sweep-importance",
            )
            drawn.append(
                picture(
                    "Which parameters mattered",
                    "How much of the difference between trials each parameter explains.",
                    svg,
                )
            )
        facts.append(("Trials", f"{len(sweep.trials):,}"))
        if sweep.ensemble and sweep.ensemble_value is not None:
            facts.append((f"{sweep.metric} together", f"{sweep.ensemble_value:.5g}"))
        if sweep.best_value is not None:
            facts.append((f"Best {sweep.metric}", f"{sweep.best_value:.5g} (trial {sweep.best_trial})"))
    best_params = sorted(sweep.best_params.items()) if sweep is not None and not sweep.ensemble else []
    return {
        "members": [
            (f"{m.weight:.0%}", learner_of(m.learner).title, f"trial {m.trial}")
            for m in (sweep.ensemble if sweep is not None else [])
        ],
        "board": _board(sweep, inputs.evaluation.metrics.get(sweep.metric)) if sweep is not None else [],
        "metric": sweep.metric if sweep is not None else "",
        "measured": sweep.validation if sweep is not None else "",
        "notes": list(sweep.notes) if sweep is not None else [],
        "pictures": drawn,
        "facts": facts,
        "params": params,
        "best": [
            (name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in best_params
        ],
    }
