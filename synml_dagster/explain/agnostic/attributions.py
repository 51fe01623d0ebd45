"""What explaining rows of any model found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Attributions:
    """Values of the players of each row.

    Attributes
    ----------
    method
        In words.
    players
        By row: the columns, the places of the vector as text, or the tokens of the text.
    values
        By row: float64 [players, outputs].
    base
        float64 [rows, outputs], what the values add up from (Kernel SHAP), or the linear model's intercept (LIME).
    r2
        float64 [rows, outputs]: how well a sum of the values says what coalitions are worth.
    spans
        By row: (start, end) of each token in its text, for text alone.
    background
        In words, where the rows that stand for what is not known come from.
    """

    method: str
    players: list[list[str]]
    values: list[NDArray[np.float64]]
    base: NDArray[np.float64]
    r2: NDArray[np.float64]
    spans: list[list[tuple[int, int]]] | None = None
    background: str = field(default="")

    @property
    def rows(self) -> int:
        """How many rows were explained."""
        return len(self.values)

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per row, player and output: row, player, (start, end,) output, value."""
        import pandas as pd

        lines = []
        for row, (names, values) in enumerate(zip(self.players, self.values, strict=True)):
            for i, name in enumerate(names):
                span = {}
                if self.spans is not None:
                    span = dict(zip(("start", "end"), self.spans[row][i], strict=True))
                for output, value in enumerate(values[i]):
                    lines.append(
                        {"row": row, "player": name, **span, "output": output, "value": float(value)}
                    )
        return pd.DataFrame(lines)

    def __repr__(self) -> str:
        known = self.r2[np.isfinite(self.r2)]
        said = f", R² {known.mean():.3f} on average" if len(known) else ""
        return f"Attributions({self.rows:,} rows by {self.method}{said})"
