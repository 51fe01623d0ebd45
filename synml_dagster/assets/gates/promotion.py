"""A decision carried out in the registry: what holds it back, and what became of it while others decided, too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from synml_dagster.assets.gates.challenger import Judgement
from synml_dagster.checks import Decision, PromoteSpec
from synml_dagster.checks.shadow import counted
from synml_dagster.checks.shadow_registry import enter, promote_at_once

if TYPE_CHECKING:
    from synml_dagster.resources import MLflowResource, ModelVersion


@dataclass(frozen=True)
class Promotion:
    """The promotion of a version of this run, judged beside `holder`.

    Attributes
    ----------
    pipeline, name
        The pipeline, and its model in the registry.
    holder
        The champion that the challenger was held against.
    """

    pipeline: str
    name: str
    rule: PromoteSpec
    judgement: Judgement
    holder: ModelVersion | None

    @property
    def in_shadow(self) -> bool:
        """Whether a challenger scores beside the champion first.

        The first champion has nobody to stand beside, and answers to another question cannot be held against each other.
        """
        return (
            self.rule.shadow is not None and self.holder is not None and self.judgement.incomparable is None
        )

    @property
    def doubts(self) -> list[str]:
        """What makes the comparison doubtful."""
        return [said for said in (self.judgement.flattered, self.judgement.lost) if said]

    def decision(self) -> Decision:
        """Return what the rule says, held back where a person has to agree, with the doubts in its reason."""
        decision = self.judgement.decision
        if decision.promote and self.rule.approval and not self.in_shadow:
            decision = replace(
                decision,
                promote=False,
                reason=f"the rule would promote it ({decision.reason}), and a person has to agree: launch {self.pipeline}_promote",
            )
        for doubt in self.doubts:
            decision = replace(decision, reason=f"{decision.reason}. {doubt}")
        return decision

    def carry_out(
        self, mlflow: MLflowResource, version: ModelVersion, decision: Decision
    ) -> tuple[Decision, ModelVersion | None]:
        """Set the aliases; return what was decided in the end, and who is the champion now.

        The caller holds the registry's turn, `mlflow.deciding`.
        """
        mlflow.set_alias(self.name, "challenger", version)
        meanwhile = mlflow.champion(self.name)
        if decision.promote and not self.rule.replace and _number(meanwhile) != _number(self.holder):
            # Another run, or a person: what this one was compared with is no longer what it would replace.
            reason = (
                f"{_number(meanwhile)} became champion while this one was compared with {_number(self.holder)}. "
                "Materialize the champion again"
            )
            return replace(decision, promote=False, reason=reason), meanwhile
        if not decision.promote:
            return decision, meanwhile
        if self.in_shadow and meanwhile is not None and self.rule.shadow is not None:
            displaced = enter(mlflow, self.name, version, str(meanwhile.version), decision.reason)
            reason = f"in shadow: it scores beside version {meanwhile.version} for {counted(self.rule.shadow.runs)} first. The rule would promote it ({decision.reason})"
            return replace(
                decision, promote=False, reason="; ".join(filter(None, (reason, displaced)))
            ), meanwhile
        said = filter(None, (decision.reason, promote_at_once(mlflow, self.name, version)))
        return replace(decision, reason="; ".join(said)), version


def _number(version: ModelVersion | None) -> str:
    return f"version {version.version}" if version else "no version"
