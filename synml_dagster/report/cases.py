"""A few rows worth explaining one by one: where the model is sure and right, sure and wrong, and undecided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synml_dagster.explain import Explanations
from synml_dagster.explain.value_names import number_text


@dataclass(frozen=True)
class Case:
    """One explained row."""

    title: str
    answer: str
    """What the model said, and what was true where that is known."""
    row: int
    output: int = 0
    right: bool | None = None


def chosen_cases(found: Explanations) -> list[Case]:
    """Return the rows that the description chose, in its order; places are those in `found.chosen`."""
    if found.chosen is None:
        return []
    of = _class_case if found.chosen.probability is not None else _number_case
    return [of(found.chosen, f"{found.chosen_by} {value}", row) for row, value in enumerate(found.ids)]


def telling_cases(found: Explanations) -> list[Case]:
    """Return up to four rows of the sample, each of another kind; none twice."""
    if found.probability is not None:
        return _of_classes(found)
    return _of_numbers(found)


def _of_classes(found: Explanations) -> list[Case]:
    probability = found.probability
    assert probability is not None
    best = probability.argmax(1)
    sure = probability[np.arange(found.rows), best]
    names = _names(found)

    def case(title: str, row: int) -> Case:
        return _class_case(found, title, row)

    cases: list[Case] = []
    if found.label is not None:
        right = best == found.label
        # The surest right row of the two classes that are most often the answer; in a binary task of both.
        common = np.argsort(-np.bincount(best, minlength=len(names)), kind="stable")[:2]
        for said in sorted(common, reverse=True):
            pool = np.flatnonzero(right & (best == said))
            if len(pool):
                cases.append(case("Sure and right", int(pool[np.argmax(sure[pool])])))
        pool = np.flatnonzero(~right)
        if len(pool):
            cases.append(case("Sure and wrong", int(pool[np.argmax(sure[pool])])))
    else:
        cases.append(case("Sure", int(np.argmax(sure))))
    taken = {c.row for c in cases}
    top = np.sort(probability, axis=1)
    undecided = next((int(r) for r in np.argsort(top[:, -1] - top[:, -2]) if int(r) not in taken), None)
    if undecided is not None:
        cases.append(case("Undecided", undecided))
    return cases


def _names(found: Explanations) -> list[str]:
    assert found.probability is not None
    return found.classes or [str(i) for i in range(found.probability.shape[1])]


def _class_case(found: Explanations, title: str, row: int) -> Case:
    assert found.probability is not None
    names, said = _names(found), int(found.probability[row].argmax())
    answer = f"{found.probability[row, said]:.1%} {names[said]}"
    right = None
    if found.label is not None and found.label[row] == found.label[row]:
        true = int(found.label[row])
        right = said == true
        answer += f", truly {names[true]}" if true < len(names) else ""
    return Case(title, answer, row, said if len(found.outputs) > 1 else 0, right)


def _number_case(found: Explanations, title: str, row: int) -> Case:
    said = "predicted" if found.task == "regression" else "score"
    answer = f"{said} {_rounded(float(found.prediction[row]))}"
    if found.label is not None and found.label[row] == found.label[row]:
        answer += f", truly {_rounded(float(found.label[row]))}"
    return Case(title, answer, row)


def _of_numbers(found: Explanations) -> list[Case]:
    score = found.prediction

    wanted = [("Highest", int(np.argmax(score))), ("Lowest", int(np.argmin(score)))]
    if found.label is not None and found.task == "regression":
        error = score - found.label
        wanted = [
            ("Close", int(np.argsort(np.abs(error), kind="stable")[found.rows // 20])),
            ("Far too high", int(np.argmax(error))),
            ("Far too low", int(np.argmin(error))),
            ("Highest", int(np.argmax(score))),
        ]
    cases: list[Case] = []
    for title, row in wanted:
        if row not in {c.row for c in cases}:
            cases.append(_number_case(found, title, row))
    return cases


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1e3 else number_text(value)
