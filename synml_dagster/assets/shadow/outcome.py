"""What comes of a run in shadow: the challenger goes on, takes the champion's place, or is refused; and the champion's page says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from synml_dagster.assets.stage import figure, markdown_table
from synml_dagster.checks import PromoteSpec, ShadowRun
from synml_dagster.checks.shadow import concluded
from synml_dagster.checks.shadow_registry import DATA_VERSION_TAG, InShadow, in_shadow, leave, note_run
from synml_dagster.resources import MLflowResource


@dataclass(frozen=True)
class Conclusion:
    """What was decided.

    Attributes
    ----------
    promoted
        True and False end the shadow; None where the challenger goes on, or somebody else has decided.
    said
        Why.
    runs
        All runs that count so far.
    serves
        The version that is champion now.
    word
        What has become of the version, where this run did not decide it.
    """

    promoted: bool | None
    said: str
    runs: tuple[ShadowRun, ...]
    serves: str
    word: str = ""

    def headline(self, shadow: InShadow) -> str:
        """Return the decision in one sentence that names the version."""
        word = self.word or {True: "promoted", False: "not promoted", None: "in shadow"}[self.promoted]
        return f"{shadow.name} {word}: {self.said}"


def conclude(
    mlflow: MLflowResource,
    name: str,
    rule: PromoteSpec,
    pipeline: str,
    shadow: InShadow,
    run: ShadowRun | None,
) -> Conclusion:
    """Count a run and decide, one process at a time; the aliases are asked for once more before one is moved.

    `run` is None where nothing was scored because another version is champion than the one that the challenger stands beside.
    """
    assert rule.shadow is not None
    with mlflow.deciding(name):
        now, holder = in_shadow(mlflow, name), mlflow.champion(name)
        serves = str(holder.version) if holder is not None else "none"
        if now is None or now.version.version != shadow.version.version:
            said = "another run or a person has decided meanwhile"
            return Conclusion(None, said, shadow.runs, serves, "has left the shadow")
        if serves == now.version.version:
            # By hand in the registry, or by a run that was cut off before it could say so here and on the champion's page.
            said = f"it was made champion while it was in shadow beside version {now.beside}"
            leave(mlflow, name, now, f"promoted: {said}")
            return Conclusion(True, said, now.runs, serves, "is the champion")
        if serves != now.beside:
            said = f"version {serves} became champion while it was in shadow beside version {now.beside}. Materialize the champion again"
            leave(mlflow, name, now, f"not promoted: {said}")
            return Conclusion(False, said, now.runs, serves)
        if run is None:
            return Conclusion(
                None, "another champion was put back meanwhile; nothing was scored", now.runs, serves
            )
        runs = note_run(mlflow, name, now, run)
        promoted, said = concluded(rule.shadow, runs, now.live)
        if promoted and rule.approval:
            promoted = False
            said += f". A person has to agree: launch {pipeline}_promote with version {now.version.version}"
        elif promoted:
            mlflow.promote(name, now.version)
            serves = now.version.version
        if promoted is not None:
            leave(mlflow, name, now, f"{'promoted' if promoted else 'not promoted'}: {said}")
        return Conclusion(promoted, said, runs, serves)


def tell_champion(
    context: dg.AssetExecutionContext, champion: dg.AssetKey, shadow: InShadow, done: Conclusion
) -> None:
    """Leave an event on the asset `champion`: a materialization where another version serves now, else an observation."""
    said = done.headline(shadow)
    told: dict[str, Any] = {
        "decision": said,
        "champion version": done.serves,
        "version in shadow": shadow.version.version,
        "passed the rule": shadow.reason,
    }
    if done.runs:
        told |= figures(done.runs[-1]) | {"shadow runs": history(done.runs)}
    if done.promoted:
        serves = {DATA_VERSION_TAG: done.serves}
        context.log_event(
            dg.AssetMaterialization(asset_key=champion, description=said, metadata=told, tags=serves)
        )
    else:
        context.log_event(dg.AssetObservation(asset_key=champion, description=said, metadata=told))
    context.log.info(said)


def figures(run: ShadowRun) -> dict[str, Any]:
    """Return what a run has shown as numbers that plot over time."""
    named = {
        "shadow/decided otherwise": run.changed,
        "shadow/mean difference": run.difference,
        "shadow/largest difference": run.largest,
        "shadow/stability index": run.shift,
    }
    told: dict[str, Any] = {"shadow/rows": run.rows, "shadow/rows without its answer": run.unscored}
    return told | {key: figure(value) for key, value in named.items() if value is not None and value == value}


def history(runs: tuple[ShadowRun, ...]) -> dg.MarkdownMetadataValue:
    """Return a line for each run."""
    return markdown_table(
        ["scored at", "run", "beside the champion"], ([run.at, run.run_id[:8], run.said()] for run in runs)
    )
