"""Shadow: a challenger that passed the rule scores beside the champion for some runs before it may take its place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.checks.answers import AnswerBins, count_answers
from synml_dagster.checks.drift import psi, psi_by_chance

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHALLENGER = "challenger_"
"""What the names of the challenger's columns begin with."""

UNSCORED = "challenger_bad_row"
"""The column that says why the challenger has no answer for a row that the champion scores."""

CHALLENGER_VERSION = "challenger_version"

ANSWERS = ("prediction", "probability", "decision", "expected_cost", "raw_score")
"""What a model can answer; the challenger's are called so behind `CHALLENGER`."""


class ShadowSpec(BaseModel):
    """The `promote.shadow` part of a description: how long a challenger scores beside the champion, and how far it may be from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="How many scoring runs it has to stand beside the champion before it takes its place.",
    )
    most_decisions: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Of classes: the largest share of a run's rows that it may decide otherwise than the champion; any where absent.",
    )
    most_difference: float | None = Field(
        default=None,
        gt=0,
        description="The largest mean difference from the champion's answers in a run: of probabilities, or of predictions in the label's unit; any where absent.",
    )
    most_shift: float | None = Field(
        default=None,
        gt=0,
        description="The largest stability index (PSI) of its answers against the champion's in a run, beyond what chance explains; any where absent.",
    )


class ShadowRun(BaseModel):
    """What one scoring run has shown of a challenger beside the champion, on the same rows.

    Attributes
    ----------
    rows, unscored
        Rows that the champion scored, and how many of them the challenger could not score.
    changed
        The share of rows that are decided otherwise; None where answers are numbers.
    decided
        The answer that users act on: `decision` where both models weigh costs, else `prediction`.
    difference, largest
        Mean and greatest difference of the answers: of probabilities (several classes: half the sum over the classes), or of predictions.
    shift, chance
        Stability index of the challenger's answers against the champion's, and what it stays below by chance; None where no bins are known.
    problem
        Why it could not score at all; empty where it could.
    """

    model_config = ConfigDict(extra="forbid")

    run_id: str
    at: str
    rows: int
    unscored: int = 0
    changed: float | None = None
    decided: str = "prediction"
    difference: float | None = None
    largest: float | None = None
    shift: float | None = None
    chance: float = 0.0
    problem: str = ""

    def outside(self, spec: ShadowSpec) -> str | None:
        """Return why the challenger is not within the guardrails in this run, None where it is."""
        if self.problem:
            return f"it cannot score these rows: {self.problem}"
        if self.unscored:
            return f"it has no answer for {self.unscored} of {self.rows} rows that the champion scores"
        if self.rows and (self.difference is None or not math.isfinite(self.difference)):
            return "some of its answers or of the champion's are no numbers"
        limits = (
            (
                "decides",
                self.changed,
                spec.most_decisions,
                f"of the rows otherwise by `{self.decided}`",
                "decisions",
                "{:.2%}",
            ),
            ("differs by", self.difference, spec.most_difference, "on average", "difference", "{:.4g}"),
        )
        for verb, value, most, what, name, form in limits:
            if most is not None and value is not None and value > most:
                return f"it {verb} {form.format(value)} {what}, and promote.shadow.most_{name} is {most:g}"
        if (
            spec.most_shift is not None
            and self.shift is not None
            and self.shift > max(spec.most_shift, self.chance)
        ):
            return f"its answers are spread otherwise, with a stability index of {self.shift:.3g}, and promote.shadow.most_shift is {spec.most_shift:g}"
        return None

    def said(self) -> str:
        """Return the figures in words."""
        if self.problem:
            return self.problem
        told = [f"{self.rows} rows"]
        if self.unscored:
            told.append(f"{self.unscored} of them without its answer")
        if self.changed is not None:
            told.append(f"{self.changed:.2%} decided otherwise by `{self.decided}`")
        if self.difference is not None:
            told.append(f"mean difference {self.difference:.4g}")
        if self.shift is not None:
            told.append(f"stability index {self.shift:.3g}")
        return ", ".join(told)


class ShadowLive(BaseModel):
    """Both models on rows that were labelled since both scored them."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    champion: float
    challenger: float
    rows: int
    worse: str = Field(
        default="", description="Why the challenger is worse than tolerated; empty where it is not."
    )

    def said(self) -> str:
        """Return the figures in words."""
        return f"{self.metric} on {self.rows} rows labelled since is {self.challenger:.6g}, and the champion's {self.champion:.6g}"


def compared(
    run_id: str, at: str, tables: Sequence[DataFrame], bins: AnswerBins | None, decided: str = "prediction"
) -> ShadowRun:
    """Compare the two models' answers in rows that hold both; a Spark job a table, and two more where `bins` count the answers.

    `decided` is the answer that users act on, which both models have.
    """
    from pyspark.sql import functions as sf

    rows = unscored = changed = 0
    total = largest = 0.0
    for table in tables:
        scored_here = sf.col(UNSCORED).isNull()
        apart = _difference(table)
        otherwise = ~sf.col(decided).eqNullSafe(sf.col(f"{CHALLENGER}{decided}"))
        row = table.agg(
            sf.count(sf.lit(1)).alias("rows"),
            sf.count_if(~scored_here).alias("unscored"),
            sf.count_if(scored_here & otherwise).alias("changed"),
            # An answer that is missing is no agreement.
            sf.sum(sf.when(scored_here, sf.coalesce(apart, sf.lit(math.nan)))).alias("total"),
            sf.max(sf.when(scored_here, apart)).alias("largest"),
        ).collect()[0]
        rows, unscored, changed = (
            rows + row["rows"],
            unscored + row["unscored"],
            changed + row["changed"],
        )
        total, largest = total + (row["total"] or 0.0), max(largest, row["largest"] or 0.0)
    scored = rows - unscored
    found = ShadowRun(run_id=run_id, at=at, rows=rows, unscored=unscored)
    if not scored:
        return found
    found.difference, found.largest = total / scored, largest
    if f"{CHALLENGER}probability" in tables[0].columns:
        found.changed, found.decided = changed / scored, decided
    if bins is not None:
        there = [t.where(sf.col(UNSCORED).isNull()) for t in tables]
        theirs = count_answers(there, bins)
        ours = count_answers((challenger_answers(t) for t in there), bins)
        if sum(theirs) and sum(ours):
            found.shift = psi(ours, theirs)
            found.chance = psi_by_chance(len(ours), sum(ours), sum(theirs))
    return found


def challenger_answers(table: DataFrame) -> DataFrame:
    """Return the rows as the challenger alone has scored them: its answers and version take the names of the champion's."""
    named = {f"{CHALLENGER}{name}": name for name in ANSWERS} | {CHALLENGER_VERSION: "model_version"}
    named = {old: new for old, new in named.items() if old in table.columns}
    return table.drop(*named.values()).withColumnsRenamed(named)


def counted(runs: int) -> str:
    """Return a number of runs in words.

    Examples
    --------
    >>> counted(1), counted(3)
    ('1 run', '3 runs')
    """
    return f"{runs} run" if runs == 1 else f"{runs} runs"


def concluded(
    spec: ShadowSpec, runs: Iterable[ShadowRun], live: ShadowLive | None
) -> tuple[bool | None, str]:
    """Return whether the challenger is promoted (True), refused (False) or goes on beside the champion (None), and why.

    A run outside of the guardrails decides at once: none that follows could mend it. One without rows has shown nothing
    and does not count.
    """
    done = [run for run in runs if run.rows or run.problem]
    for run in done:
        if why := run.outside(spec):
            return False, f"in run {run.run_id[:8]} {why}"
    if live is not None and live.worse:
        return False, f"{live.said()}: {live.worse}"
    if len(done) < spec.runs:
        return None, f"run {len(done)} of {spec.runs} beside the champion"
    worst = max(((r.changed, r.decided) for r in done if r.changed is not None), default=None)
    told = [f"it stayed within the guardrails in {counted(len(done))} beside the champion"]
    if worst is not None:
        told.append(f"at most {worst[0]:.2%} of a run's rows decided otherwise by `{worst[1]}`")
    if live is not None:
        told.append(live.said())
    return True, "; ".join(told)


def _difference(table: DataFrame) -> Column:
    from pyspark.sql import functions as sf

    kinds = dict(table.dtypes)
    # A column of the user's can be called `probability` beside numbers that are predicted.
    name = "probability" if f"{CHALLENGER}probability" in kinds else "prediction"
    one, other = sf.col(name), sf.col(f"{CHALLENGER}{name}")
    if kinds[name].startswith("array"):
        apart = sf.zip_with(one, other, lambda a, b: sf.abs(a.cast("double") - b.cast("double")))
        return sf.aggregate(apart, sf.lit(0.0), lambda sum_, each: sum_ + each) / 2
    return sf.abs(one.cast("double") - other.cast("double"))
