"""A trained multilayer perceptron."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from synml_dagster.learners.mlp.text import read_network
from synml_dagster.learners.network import NetworkForm
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    pass


@dataclass
class PerceptronModel(TrainedModel):
    """A multilayer perceptron of rectified units.

    Attributes
    ----------
    text : str
        Its layers, see `synml_dagster.learners.mlp.text`.
    added_loss : list of float
        By feature, the loss that is added on validation rows where its values are shuffled.
    """

    learner: ClassVar[str] = "mlp"
    text_file: ClassVar[str] = "network.json"

    objective: str = "squared error"
    added_loss: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        units = [self.form.first.num_outputs, *(len(bias) for bias in self.form.biases)]
        return f"PerceptronModel({self.objective}, {len(self.features)} features, layers of {' and '.join(map(str, units))})"

    @property
    def form(self) -> NetworkForm:
        """The layers as arrays, read once."""
        known: NetworkForm | None = self.__dict__.get("_form")
        if known is None:
            known = self.__dict__["_form"] = read_network(self.text)
        return known

    @property
    def iterations(self) -> int:
        """The epochs that the model was trained for."""
        return int(self.facts.get("epochs kept", 1))

    def importance(self) -> dict[str, float]:
        """Return by feature the loss that shuffling it adds, greatest first; 0 where it adds none."""
        pairs = sorted(zip(self.features, self.added_loss, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}
