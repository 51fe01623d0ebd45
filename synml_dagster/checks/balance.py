"""The `balance` part of a description: which groups to compare, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.balance import DISPARITIES, DataBalance, Fairness
from synml_dagster.balance.disparities import ERRORS
from synml_dagster.errors import did_you_mean

DATA_CHECKS: dict[str, str] = {
    "label_gap": "Largest difference between two groups' share of a class, or between their means of a number; at most.",
    "group_distance": "Largest total variation of a column's shares from the reference; at most.",
    "smallest_group": "Share of the rows that are of the smallest group; at least.",
}
"""Checks of the table, by name."""

FAIRNESS_CHECKS: dict[str, str] = {
    f"{measure}_{kind}": f"{measure.replace('_', ' ').capitalize()}, {words}"
    for measure in (*DISPARITIES, "equalized_odds", *(e for e in ERRORS if e != "accuracy"))
    for kind, words in (
        ("difference", "largest group less smallest; at most."),
        ("ratio", "smallest group over largest; at least."),
    )
    if kind == "difference" or measure not in ("mean_prediction", "bias")
}
"""Checks of a model's answers, by name."""

_AT_LEAST = ("smallest_group",)


class BalanceCheck(BaseModel):
    """What one measure must keep to; a number alone is its limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: float = Field(
        ge=0,
        description="What a difference, a gap or a distance must not exceed, and what a ratio or the smallest group must reach.",
    )
    blocking: bool = Field(
        default=False,
        description="Whether nothing goes on that comes after: no training for a check of the table, no champion for a check of the answers.",
    )
    severity: Literal["error", "warn"] = Field(
        default="error", description="How a failure is shown; a blocking check is an error."
    )

    @model_validator(mode="before")
    @classmethod
    def _number_is_the_limit(cls, value: Any) -> Any:
        return {"limit": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _blocking_is_an_error(self) -> BalanceCheck:
        if self.blocking and self.severity == "warn":
            raise ValueError("a blocking check is an error; leave severity out")
        return self


class BalanceSpec(BaseModel):
    """Sensitive columns, whose groups are compared: in the table before training, and in the model's answers on the test rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[str] = Field(
        min_length=1,
        description="Sensitive columns of the raw table, such as sex; they need not be features.",
    )
    bins: dict[str, list[float]] = Field(
        default_factory=dict,
        description="Increasing limits of the groups of a column of numbers, such as `{age: [25, 45, 65]}`.",
    )
    intersections: list[list[str]] | None = Field(
        default=None,
        description="Sets of columns whose groups are also combined in the answers; all pairs where absent, [] for none.",
    )
    minimum_rows: int = Field(
        default=30, ge=1, description="Groups of fewer rows are shown and not compared."
    )
    positive: str | None = Field(
        default=None,
        description="The class to measure; absent: the second of two, of more each against the rest.",
    )
    threshold: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Two classes: the probability from which on a row counts as selected.",
    )
    reweigh: bool | list[str] = Field(
        default=False,
        description="Weigh training and validation rows so that the groups of all the columns together have the same share of each class "
        "(Kamiran and Calders): learned on the training rows, and multiplied with `weight` where there is one. Or name some of the columns.",
    )
    reference: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Shares by group that a column should have, such as `{sex: {Female: 0.5, Male: 0.5}}`; uniform where absent.",
    )
    checks: dict[str, BalanceCheck] = Field(
        default_factory=dict,
        description="What must hold, by name: `label_gap`, `group_distance`, `smallest_group` of the table; `demographic_parity_difference`, "
        "`demographic_parity_ratio`, `equalized_odds_difference` and others of the answers.",
    )

    @field_validator("checks")
    @classmethod
    def _checks_are_known(cls, value: dict[str, BalanceCheck]) -> dict[str, BalanceCheck]:
        known = [*DATA_CHECKS, *FAIRNESS_CHECKS]
        for name in value:
            if name not in known:
                raise ValueError(
                    f"balance.checks: there is no check {name!r}; choose from {', '.join(known)}.{did_you_mean(name, known)}"
                )
        return value

    @model_validator(mode="after")
    def _parts_go_together(self) -> BalanceSpec:
        from synml_dagster.balance.fairness import sets_of

        for key, named in (("bins", self.bins), ("reference", self.reference)):
            for column in named:
                if column not in self.columns:
                    raise ValueError(
                        f"balance.{key} names {column!r}, which is none of balance.columns.{did_you_mean(column, self.columns)}"
                    )
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("balance.columns names a column twice; keep one")
        sets_of(self.columns, self.intersections)
        if isinstance(self.reweigh, list):
            if not self.reweigh:
                raise ValueError(
                    "balance.reweigh names no column; give true for all of them, or leave it out"
                )
            for column in self.reweigh:
                if column not in self.columns:
                    raise ValueError(
                        f"balance.reweigh names {column!r}, which is none of balance.columns.{did_you_mean(column, self.columns)}"
                    )
            if len(set(self.reweigh)) < len(self.reweigh):
                raise ValueError("balance.reweigh names a column twice; keep one")
        return self

    @property
    def reweighed_columns(self) -> list[str]:
        """The columns whose groups training rows are weighed by, none where they are not."""
        if isinstance(self.reweigh, list):
            return self.reweigh
        return self.columns if self.reweigh else []

    @property
    def data_checks(self) -> dict[str, BalanceCheck]:
        """The checks of the table."""
        return {name: check for name, check in self.checks.items() if name in DATA_CHECKS}

    @property
    def fairness_checks(self) -> dict[str, BalanceCheck]:
        """The checks of the answers."""
        return {name: check for name, check in self.checks.items() if name in FAIRNESS_CHECKS}

    def check_task(self, task: str) -> None:
        """Refuse what groups cannot be compared by.

        Raises
        ------
        ValueError
            The task is a ranking, or a check is of another kind of task.
        """
        if task == "ranking":
            raise ValueError(
                "balance compares groups by classes or by numbers, and the task is ranking; leave it out"
            )
        if self.reweigh and task == "regression":
            raise ValueError(
                "balance.reweigh gives groups the same share of each class, and the task is regression; leave it out"
            )
        if task == "auto":
            return
        numbers = {name for name in FAIRNESS_CHECKS if name.rsplit("_", 1)[0] in ERRORS}
        for name in self.fairness_checks:
            if (name in numbers) != (task == "regression"):
                raise ValueError(f"balance.checks: {name!r} says nothing of task {task}")


@dataclass(frozen=True)
class Verdict:
    """Whether a check holds, in words, and its figure, None where the rows cannot give it."""

    name: str
    passed: bool
    said: str
    value: float | None
    severity: Literal["error", "warn"]


def judge_data(found: DataBalance, spec: BalanceSpec) -> list[Verdict]:
    """Return what the checks of the table say; groups below `minimum_rows` are not compared."""
    verdicts = []
    for name, check in spec.data_checks.items():
        value, where = _data_value(found, name, spec.minimum_rows)
        verdicts.append(_verdict(name, check, value, where))
    return verdicts


def judge_fairness(found: Fairness, spec: BalanceSpec) -> list[Verdict]:
    """Return what the checks of the answers say, each by the worst of all columns, intersections and classes."""
    verdicts = []
    for name, check in spec.fairness_checks.items():
        measure, kind = name.rsplit("_", 1)
        known = [
            (
                getattr(d, kind),
                f"{' & '.join(d.columns)}{f' for {d.label!r}' if d.label else ''}: {_words(d.largest)} and {_words(d.smallest)}",
            )
            for d in found.disparities
            if d.measure == measure and getattr(d, kind) is not None
        ]
        value, where = _worst(known, at_least=kind == "ratio")
        if not known:
            reasons = [d.reason for d in found.disparities if d.measure == measure and d.reason]
            where = reasons[0] if reasons else f"a {found.task} task has no {measure}"
        verdicts.append(_verdict(name, check, value, where))
    return verdicts


def _data_value(found: DataBalance, name: str, minimum: int) -> tuple[float | None, str]:
    if name == "group_distance":
        return _worst(
            [
                (d.measures["total_variation"] or 0.0, f"{d.column} against {d.reference}")
                for d in found.distributions
            ],
            at_least=False,
        )
    if name == "smallest_group":
        return _worst(
            [
                (share, f"{d.column} {group!r}")
                for d in found.distributions
                for group, share in zip(d.groups, d.shares, strict=True)
            ],
            at_least=True,
        )
    large = {(g.column, g.group) for g in found.groups if g.rows >= minimum}
    gaps = [
        (abs(gap), f"{p.column}{f' for {p.label!r}' if p.label else ''}: {p.group_a!r} and {p.group_b!r}")
        for p in found.pairs
        if {(p.column, p.group_a), (p.column, p.group_b)} <= large
        and (gap := p.gaps.get("demographic_parity", p.gaps.get("mean"))) is not None
    ]
    value, where = _worst(gaps, at_least=False)
    return value, where or f"no two groups have {minimum} rows"


def _worst(known: Iterable[tuple[float, str]], *, at_least: bool) -> tuple[float | None, str]:
    found = list(known)
    if not found:
        return None, ""
    return min(found) if at_least else max(found)


def _verdict(name: str, check: BalanceCheck, value: float | None, where: str) -> Verdict:
    at_least = name.endswith("_ratio") or name in _AT_LEAST
    if value is None:
        said = f"{name} cannot be measured: {where}"
        return Verdict(name, False, said, None, check.severity)
    passed = value >= check.limit if at_least else value <= check.limit
    asked = "at least" if at_least else "at most"
    return Verdict(
        name,
        passed,
        f"{name} is {value:.4g} ({where}); asked for is {asked} {check.limit:g}",
        value,
        check.severity,
    )


def _words(group: list[str]) -> str:
    return repr(" & ".join(group))
