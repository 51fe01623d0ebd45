"""A weighted mean of trained models of any families, as one model with one text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.learners.base import TrainedModel, learner_of
from synml_dagster.learners.mixture import MixtureForm
from synml_dagster.learners.one_process.packed import DAMAGE, packed, unpacked

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Member:
    """A model and how much it counts."""

    model: TrainedModel
    weight: float


@dataclass
class EnsembleModel(TrainedModel):
    """The weighted mean of the answers of its members; see `MixtureForm`.

    Attributes
    ----------
    text : str
        JSON: by member its learner, weight, offset and text.
    """

    learner: ClassVar[str] = "ensemble"
    text_file: ClassVar[str] = "ensemble.json"

    def __repr__(self) -> str:
        """Say what it is in one line."""
        told = ", ".join(f"{m['learner']} {m['weight']:.2f}" for m in self._members())
        return f"EnsembleModel({told}, {len(self.features)} features)"

    @property
    def form(self) -> MixtureForm:
        """The members' forms, read once."""
        known: MixtureForm | None = self.__dict__.get("_form")
        if known is None:
            known = self.__dict__["_form"] = read_form(self.text)
        return known

    @property
    def iterations(self) -> int:
        """How many members there are."""
        return len(self._members())

    def importance(self) -> dict[str, float]:
        """Return by feature the weighted mean of its part of each member's importance, greatest first."""
        found: dict[str, float] = {name: float(self.facts["importance"][name]) for name in self.features}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def _members(self) -> list[dict[str, Any]]:
        return list(json.loads(self.text)["members"])


def combined(
    members: Sequence[Member],
    history: Mapping[str, Mapping[str, list[float]]],
    background: NDArray[np.float32],
) -> EnsembleModel:
    """Return models as one.

    Parameters
    ----------
    members
        Trained on the same features; their weights are made to add up to 1.
    history
        The ensemble's own metrics, `{"validation": {metric: [value]}}`.
    background
        float32 [rows, features]: training rows to explain single answers by.

    Raises
    ------
    ConfigError
        There is no member, they are of other features, or they answer different things.
    """
    if not members:
        raise ConfigError("an ensemble has one member at least")
    first, total = members[0].model, sum(m.weight for m in members)
    if any(m.weight <= 0 for m in members):
        raise ConfigError("the weights of an ensemble's members are above 0")
    for member in members:
        one, other = first.form, member.model.form
        if list(member.model.features) != list(first.features):
            raise ConfigError("the members of an ensemble take the same features in the same order")
        if (one.classifies, one.num_outputs) != (other.classifies, other.num_outputs):
            raise ConfigError(
                f"the members of an ensemble answer the same: {first!r} and {member.model!r} do not"
            )
    text = json.dumps(
        {
            "members": [
                {
                    "learner": m.model.learner,
                    "weight": m.weight / total,
                    "offset": m.model.label_offset,
                    "text": m.model.text,
                }
                for m in members
            ],
            "features": len(first.features),
            "background": packed(background, "<f4"),
        }
    )
    shares = dict.fromkeys(first.features, 0.0)
    for member in members:
        own = member.model.importance()
        size = sum(own.values()) or 1.0
        for name, value in own.items():
            shares[name] += member.weight / total * value / size
    return EnsembleModel(
        text=text,
        features=list(first.features),
        categorical=list(first.categorical),
        objective="weighted mean of models",
        history={data: {k: list(v) for k, v in metrics.items()} for data, metrics in history.items()},
        params={
            f"member {i}": f"{m.model.learner}, weight {m.weight / total:.3g}" for i, m in enumerate(members)
        },
        facts={
            "importance": shares,
            "notes": [f"{m.model.learner}: {n}" for m in members for n in m.model.facts.get("notes", [])],
        },
    )


def read_form(text: str) -> MixtureForm:
    """Return the members' forms of an ensemble's text.

    Raises
    ------
    ModelError
        The text is damaged.
    """
    try:
        raw = json.loads(text)
        members = raw["members"]
        return MixtureForm(
            tuple(learner_of(m["learner"]).form(m["text"]) for m in members),
            np.array([m["weight"] for m in members], np.float64),
            np.array([m["offset"] for m in members], np.float64),
            unpacked(raw["background"], "<f4").reshape(-1, int(raw["features"])).astype(np.float32),
        )
    except (*DAMAGE, ConfigError) as problem:
        raise ModelError(f"the text of the ensemble is damaged: {problem}") from problem
