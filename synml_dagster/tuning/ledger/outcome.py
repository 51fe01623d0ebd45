"""What a trial gave, as the object that a sweep reads and as the text that a study keeps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class TrialOutcome:
    """What training with one choice of parameters gave on held-out rows.

    Attributes
    ----------
    value
        The metric.
    rounds
        Boosting rounds of the model.
    folds
        The metric of each fold, where there are several.
    kilobytes, milliseconds
        Size of the model, and what it takes to score 1,000 rows.
    pruned, pruner
        Whether it was stopped half-way, being worse than others at that point, and by which rule.
    curve
        Of its first training, see `synml_dagster.tuning.rungs`.
    """

    value: float
    rounds: int | None = None
    folds: tuple[float, ...] = ()
    kilobytes: float | None = None
    milliseconds: float | None = None
    pruned: bool = False
    pruner: str = "median"
    curve: tuple[float, ...] = ()

    def to_json(self) -> str:
        """Return the text that a study keeps."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrialOutcome:
        """Read what `to_json` wrote."""
        said = json.loads(text)
        return cls(**(said | {name: tuple(said.get(name) or ()) for name in ("folds", "curve")}))
