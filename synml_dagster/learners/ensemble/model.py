"""A weighted mean of trained models of any families, as one model with one text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.learners.base import learner_of
from synml_dagster.learners.form import MixtureForm
from synml_dagster.learners.one_process.packed import DAMAGE, packed, unpacked
from synml_dagster.learners.trained import TrainedModel

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
        JSON: by member its learner, weight, offset and text, and the places of its features where it takes some of them.
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

    @property
    def packages(self) -> tuple[str, ...]:
        """Those that trained the members, each once."""
        every = (name for member in self._members() for name in learner_of(member["learner"]).packages)
        return tuple(dict.fromkeys(every))

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
    features: Sequence[str] | None = None,
) -> EnsembleModel:
    """Return models as one.

    Parameters
    ----------
    members
        Their weights are made to add up to 1.
    history
        The ensemble's own metrics, `{"validation": {metric: [value]}}`.
    background
        float32 [rows, features]: training rows to explain single answers by.
    features
        What the ensemble takes; each member takes some of them. Where None, those of the first member, and all take the same.

    Raises
    ------
    ConfigError
        There is no member, one is of other features, or they answer different things.
    """
    if not members:
        raise ConfigError("an ensemble has one member at least")
    first, total = members[0].model, sum(m.weight for m in members)
    if any(m.weight <= 0 for m in members):
        raise ConfigError("the weights of an ensemble's members are above 0")
    every = list(first.features if features is None else features)
    known = {name: i for i, name in enumerate(every)}
    for member in members:
        one, other = first.form, member.model.form
        if features is None and list(member.model.features) != every:
            raise ConfigError("the members of an ensemble take the same features in the same order")
        if missing := [name for name in member.model.features if name not in known]:
            raise ConfigError(f"a member of the ensemble takes {missing[0]!r}, which is none of its features")
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
                | (
                    {"places": [known[name] for name in m.model.features]}
                    if list(m.model.features) != every
                    else {}
                )
                for m in members
            ],
            "features": len(every),
            "background": packed(background, "<f4"),
        }
    )
    shares = dict.fromkeys(every, 0.0)
    categorical = {name for m in members for name in m.model.categorical}
    for member in members:
        own = member.model.importance()
        size = sum(own.values()) or 1.0
        for name, value in own.items():
            shares[name] += member.weight / total * value / size
    return EnsembleModel(
        text=text,
        features=every,
        categorical=[name for name in every if name in categorical],
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
            tuple(_places(m, int(raw["features"])) for m in members),
        )
    except (*DAMAGE, ConfigError) as problem:
        raise ModelError(f"the text of the ensemble is damaged: {problem}") from problem


def _places(member: Mapping[str, Any], features: int) -> NDArray[np.int64] | None:
    if "places" not in member:
        return None
    found = np.array(member["places"], np.int64)
    if found.ndim != 1 or (len(found) and not 0 <= found.min() <= found.max() < features):
        raise ModelError(
            "the text of the ensemble is damaged: a member takes features that there are none of"
        )
    return found
