"""The rule by which a challenger takes the champion's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.evaluation import higher_is_better


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
        default=0.0, ge=0, description="By how much the challenger must beat the champion on the same rows."
    )


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
) -> Decision:
    """Apply the rule to metrics that were measured on the same held-out rows.

    Parameters
    ----------
    metric : str
        The metric to decide by, `spec.metric` or the task's usual one.
    challenger, champion : mapping of str to float
        All metrics of the two; `champion` is None where there is none yet, or where it cannot score these rows.

    Raises
    ------
    ConfigError
        The metric is not among those of the challenger.
    """
    if metric not in challenger:
        raise ConfigError(
            f"promote.metric: {metric!r} is not a metric of this task; it has {', '.join(sorted(challenger))}."
            f"{did_you_mean(metric, challenger)}"
        )
    new = challenger[metric]
    old = champion.get(metric) if champion else None
    up = higher_is_better(metric)
    if new != new:
        return Decision(False, f"{metric} is undefined on the held-out rows", metric, new, old)
    if spec.minimum is not None and (new < spec.minimum if up else new > spec.minimum):
        wanted = "at least" if up else "at most"
        return Decision(
            False, f"{metric} is {new:.6g} and must be {wanted} {spec.minimum:.6g}", metric, new, old
        )
    if old is None:
        return Decision(True, f"first champion, with {metric} {new:.6g}", metric, new, old)
    gain = new - old if up else old - new
    if gain < spec.minimum_gain:
        return Decision(
            False,
            f"{metric} is {new:.6g} and the champion's {old:.6g} on the same rows: a gain of {gain:.6g}, "
            f"below the {spec.minimum_gain:.6g} that is asked for",
            metric,
            new,
            old,
        )
    return Decision(
        True, f"{metric} is {new:.6g} and the champion's {old:.6g} on the same rows", metric, new, old
    )
