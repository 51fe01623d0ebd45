"""A trained linear model: its terms as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.one_process.additive_text import read_form, write_form
from synml_dagster.learners.trained import TrainedModel

__all__ = ["LinearModel", "read_form", "write_form"]

if TYPE_CHECKING:
    pass


@dataclass
class LinearModel(TrainedModel):
    """A linear regression, or a logistic one of two or more classes.

    Attributes
    ----------
    text : str
        The terms as JSON, see `read_form`.
    spread : list of float
        By feature, the standard deviation of its term over the training rows, all outputs together.
    """

    learner: ClassVar[str] = "linear"
    text_file: ClassVar[str] = "linear.json"

    objective: str = "squared error"
    spread: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return f"LinearModel({self.objective}, {len(self.features)} features)"

    @property
    def form(self) -> AdditiveForm:
        """The terms as arrays, read once."""
        known: AdditiveForm | None = self.__dict__.get("_form")
        if known is None:
            known = self.__dict__["_form"] = read_form(self.text)
        return known

    @property
    def iterations(self) -> int:
        """A linear model has no rounds."""
        return 1

    def importance(self) -> dict[str, float]:
        """Return by feature how far its term spreads over the training rows, greatest first."""
        pairs = sorted(zip(self.features, self.spread, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}
