"""Which version is in shadow: an alias in MLflow's registry, and what its runs have shown as tags of the version.

The registry is what all runs, jobs and people share. So whoever moves the champion is seen by the run that would promote, and two runs that end at once
each add a tag of their own. Call what moves an alias inside of `MLflowResource.deciding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from synml_dagster.checks.shadow import ShadowLive, ShadowRun, counted

if TYPE_CHECKING:
    from synml_dagster.resources import MLflowResource, ModelVersion

ALIAS = "shadow"
DECISION_TAG = "synml.decision"
DATA_VERSION_TAG = "dagster/data_version"
"""On events of the asset `champion`: the version that serves."""

_BESIDE, _REASON, _LIVE, _RUN = (
    "synml.shadow.beside",
    "synml.shadow.reason",
    "synml.shadow.live",
    "synml.shadow.run.",
)


@dataclass(frozen=True)
class InShadow:
    """A version that scores beside the champion.

    Attributes
    ----------
    beside
        The version that was champion when it passed the rule.
    reason
        Why it passed.
    runs
        What was seen of it, in the order of time.
    live
        Both models on rows that were labelled since; None before there are any.
    """

    version: ModelVersion
    beside: str
    reason: str
    runs: tuple[ShadowRun, ...] = ()
    live: ShadowLive | None = None

    @property
    def name(self) -> str:
        """How it is called in a sentence."""
        return f"version {self.version.version}"


def in_shadow(mlflow: MLflowResource, name: str) -> InShadow | None:
    """Return the version of the model `name` that is in shadow, or None."""
    version = mlflow.aliased(name, ALIAS)
    if version is None:
        return None
    told = mlflow.noted(version)
    runs = [found for key, text in told.items() if key.startswith(_RUN) and (found := _run(text))]
    return InShadow(
        version,
        told.get(_BESIDE, ""),
        told.get(_REASON, ""),
        tuple(sorted(runs, key=lambda run: run.at)),
        _live(told),
    )


def enter(mlflow: MLflowResource, name: str, version: ModelVersion, beside: str, reason: str) -> str:
    """Put a version in shadow; return what is to be said of one whose place it takes, nothing where there was none."""
    before = in_shadow(mlflow, name)
    mlflow.note(name, version, {_BESIDE: beside, _REASON: reason})
    mlflow.set_alias(name, ALIAS, version)
    if before is None or before.version.version == version.version:
        return ""
    said = f"version {version.version} took its place in shadow after {counted(len(before.runs))}"
    mlflow.note(name, before.version, {DECISION_TAG: f"not promoted: {said}"})
    return f"it takes the place of {before.name} in shadow, which had stood {counted(len(before.runs))} beside version {before.beside}"


def leave(mlflow: MLflowResource, name: str, shadow: InShadow, decision: str) -> None:
    """End a version's time in shadow, and note what came of it."""
    # The note first: what is cut off in between is found by the alias, and done once more.
    mlflow.note(name, shadow.version, {DECISION_TAG: decision})
    mlflow.remove_alias(name, ALIAS)


def note_run(mlflow: MLflowResource, name: str, shadow: InShadow, run: ShadowRun) -> tuple[ShadowRun, ...]:
    """Add what a run has seen, in place of what an attempt of the same run saw before; return all runs."""
    mlflow.note(name, shadow.version, {f"{_RUN}{run.run_id}": run.model_dump_json()})
    others = [known for known in shadow.runs if known.run_id != run.run_id]
    return tuple(sorted([*others, run], key=lambda each: each.at))


def note_live(mlflow: MLflowResource, name: str, shadow: InShadow, live: ShadowLive) -> None:
    """Note how both models do on rows that were labelled since."""
    mlflow.note(name, shadow.version, {_LIVE: live.model_dump_json()})


def promote_at_once(mlflow: MLflowResource, name: str, version: ModelVersion) -> str:
    """Make a version champion that stands in no shadow first; return what is to be said of the one that was, nothing where none was.

    Answers to another question cannot be held against each other, and a description can have lost its `promote.shadow`.
    """
    mlflow.promote(name, version)
    return leave_for(mlflow, name, version, "without a time in shadow")


def leave_for(mlflow: MLflowResource, name: str, served: ModelVersion, how: str = "by hand") -> str:
    """End the shadow because `served` was made the champion; return what is to be said of it, nothing where none was in shadow."""
    shadow = in_shadow(mlflow, name)
    if shadow is None:
        return ""
    if shadow.version.version == served.version:
        mlflow.remove_alias(name, ALIAS)
        return f"it was in shadow, with {counted(len(shadow.runs))} beside version {shadow.beside}"
    said = f"version {served.version} became champion {how} while it was in shadow beside version {shadow.beside}"
    leave(mlflow, name, shadow, f"not promoted: {said}")
    return f"{shadow.name} leaves the shadow, after {counted(len(shadow.runs))}"


def _run(text: str) -> ShadowRun | None:
    try:
        return ShadowRun.model_validate_json(text)
    except ValidationError:  # of a later version of this package, or changed by hand
        return None


def _live(told: Mapping[str, str]) -> ShadowLive | None:
    try:
        return ShadowLive.model_validate_json(told[_LIVE]) if _LIVE in told else None
    except ValidationError:
        return None
