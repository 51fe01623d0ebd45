"""The rule by which a challenger takes the champion's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.checks.shadow import ShadowSpec
from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.evaluation import PairedGain, better_by, higher_is_better, reaches


class PromoteSpec(BaseModel):
    """The `promote` part of a description: what a challenger must reach on the held-out rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str | None = Field(
        default=None, description="Name of the metric; the task's usual one where absent."
    )
    minimum: float | None = Field(
        default=None,
        description="What the metric must reach; for an error such as rmse, what it must not exceed.",
    )
    minimum_gain: float = Field(
        default=0.0,
        ge=0,
        description="By how much the challenger must beat the champion on the same rows; a tie never promotes.",
    )
    confidence: float | None = Field(
        default=None,
        gt=0.5,
        lt=1,
        description="How sure it must be that the gain is above minimum_gain and no luck, such as 0.95: the share of draws of the test rows in which it is, by a paired bootstrap. Any gain is enough where absent.",
    )
    most_kilobytes: float | None = Field(
        default=None, gt=0, description="The largest model that may be promoted, by its ONNX graph."
    )
    most_milliseconds: float | None = Field(
        default=None,
        gt=0,
        description="The longest that a model which is promoted may take for 1,000 rows, in one thread of the host that the stage runs on.",
    )
    approval: bool = Field(
        default=False,
        description="Whether a person has to agree: a challenger that the rule would promote waits for the job <pipeline>_promote.",
    )
    shadow: ShadowSpec | None = Field(
        default=None,
        description="A challenger that the rule would promote first scores beside the champion for some runs, and takes its place only where it stays within limits; it is promoted at once where absent.",
    )
    below_baseline: bool = Field(
        default=False,
        description="Whether a model may be promoted that is no better than the best answer that looks at no column.",
    )
    replace: bool | None = Field(
        default=None,
        description="true: take the champion's place whatever the comparison says. false: never take that of a champion "
        "that cannot be compared (another label, task, classes, or a column that is now left out). Absent: such a "
        "champion is replaced, and the decision says so.",
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> PromoteSpec:
        if self.replace and self.shadow:
            raise ValueError(
                "promote.replace: true puts the challenger in the champion's place whatever it is like, and promote.shadow asks to look at it first; keep one"
            )
        return self


@dataclass(frozen=True)
class Decision:
    """Whether a challenger is promoted, and why, in one sentence."""

    promote: bool
    reason: str
    metric: str
    challenger: float
    champion: float | None = None


def decide(
    spec: PromoteSpec,
    metric: str,
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    *,
    baseline: Mapping[str, float] | None = None,
    incomparable: str | None = None,
    paired: PairedGain | None = None,
    costs: Mapping[str, float] | None = None,
) -> Decision:
    """Apply the rule to metrics that were measured on the same held-out rows.

    Parameters
    ----------
    metric : str
        The metric to decide by, `spec.metric` or the task's usual one.
    challenger, champion : mapping of str to float
        All metrics of the two; `champion` is None where there is none yet, or where it cannot be compared.
    baseline : mapping of str to float, optional
        The same metrics of the best answer that looks at no column.
    incomparable : str, optional
        Why the champion that there is cannot be compared.
    paired : PairedGain, optional
        By how much the challenger is better on rows drawn from the held-out ones.
    costs : mapping of str to float, optional
        What the challenger takes: "kilobytes", and "milliseconds" for 1,000 rows.

    Raises
    ------
    ConfigError
        The metric is not among those of the challenger.
    """
    if metric not in challenger:
        raise ConfigError(
            f"promote.metric: the test rows give no {metric!r} (a class has no rows or no weight there, or it is no metric of this task); they give {', '.join(sorted(challenger))}. Name one of these, or choose another split."
            f"{did_you_mean(metric, challenger)}"
        )
    new = challenger[metric]
    old = champion.get(metric) if champion else None
    if new != new:
        return Decision(False, f"{metric} is undefined on the held-out rows", metric, new, old)
    if spec.minimum is not None and not reaches(metric, new, spec.minimum):
        wanted = "at least" if higher_is_better(metric) else "at most"
        return Decision(
            False, f"{metric} is {new:.6g} and must be {wanted} {spec.minimum:.6g}", metric, new, old
        )
    for name, most in (("kilobytes", spec.most_kilobytes), ("milliseconds", spec.most_milliseconds)):
        if most is not None and (taken := (costs or {}).get(name, float("nan"))) > most:
            what = "kB" if name == "kilobytes" else "ms for 1,000 rows"
            return Decision(
                False, f"it takes {taken:.4g} {what}, and promote.most_{name} is {most:.6g}", metric, new, old
            )
    if spec.replace:
        said = f"promote.replace asks for it; {metric} is {new:.6g}"
        return Decision(
            True, said if old is None else f"{said} and the champion's {old:.6g}", metric, new, old
        )
    if (low := below_baseline(metric, challenger, baseline)) and not spec.below_baseline:
        return Decision(
            False,
            f"{low}, no better than the best answer that looks at no column. promote.below_baseline: true promotes it all the same",
            metric,
            new,
            old,
        )
    if incomparable is not None:
        if spec.replace is False:
            return Decision(
                False,
                f"the champion cannot be compared: {incomparable}. Say promote.replace: true, or give the pipeline another name",
                metric,
                new,
                old,
            )
        return Decision(
            True,
            f"replaces a champion that cannot be compared: {incomparable}; {metric} is {new:.6g}",
            metric,
            new,
            old,
        )
    if old is None:
        return Decision(True, f"first champion, with {metric} {new:.6g}", metric, new, old)
    gain = better_by(metric, new, old)
    both = f"{metric} is {new:.6g} and the champion's {old:.6g} on the same rows"
    if not gain > 0:
        how = "no better than" if gain == 0 else "worse than"
        return Decision(
            False, f"{metric} is {new:.6g}, {how} the champion's {old:.6g} on the same rows", metric, new, old
        )
    if gain < spec.minimum_gain:
        return Decision(
            False,
            f"{both}: a gain of {gain:.6g}, below the {spec.minimum_gain:.6g} that is asked for",
            metric,
            new,
            old,
        )
    if spec.confidence is not None:
        sure = paired.sure(spec.minimum_gain) if paired else None
        if sure is None or sure < spec.confidence:
            why = "which cannot be told of these rows" if sure is None else f"and this is {sure:.1%}"
            return Decision(
                False,
                f"{both}: promote.confidence asks to be {spec.confidence:.6g} sure of the gain, {why}",
                metric,
                new,
                old,
            )
    if paired:
        both += f", better in {paired.sure():.1%} of {len(paired.draws):,} draws of them"
    return Decision(True, both, metric, new, old)


def below_baseline(
    metric: str, challenger: Mapping[str, float], baseline: Mapping[str, float] | None
) -> str | None:
    """Return what shows that the challenger is no better than its baseline, None where it is better or nothing can show it."""
    # An answer without a look at a column has a perfect recall where it flags every row, so such metrics tell nothing.
    judged = metric if metric not in ("precision", "recall", "f1", "bias") else "logloss"
    judged = "ndcg@10" if metric.startswith("map@") else judged
    if not baseline or judged not in baseline or judged not in challenger:
        return None
    new, least = challenger[judged], baseline[judged]
    if (new > least) if higher_is_better(judged) else (new < least):
        return None
    return f"{judged} is {new:.6g} and the baseline's {least:.6g}"
