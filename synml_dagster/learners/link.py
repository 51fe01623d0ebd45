"""Links: how a raw score becomes an answer. The one place that knows, for the graph, the explanations and the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LinkName = Literal["identity", "probability", "exp", "square", "logistic", "softmax", "log1pexp"]
WORDS: dict[str, str] = {
    "identity": "the unit of the prediction",
    "probability": "probability",
    "exp": "the logarithm of the prediction",
    "square": "the root of the prediction",
    "logistic": "log-odds",
    "softmax": "class scores",
    "log1pexp": "the scores behind the prediction",
}
"""The unit of a raw score, in words for people."""


@dataclass(frozen=True)
class Link:
    """A function of each row's raw scores.

    Attributes
    ----------
    name
        `identity`; `probability`, of scores that are probabilities but for the last digit of a sum; `exp`; `square`, which keeps the sign; `logistic`, 1 / (1 + exp(-slope x)) of each score; `softmax`
        over a row's scores; `log1pexp`, log(1 + exp(x)).
    slope
        Of `logistic`.
    """

    name: LinkName = "identity"
    slope: float = 1.0

    @property
    def unit(self) -> str:
        """The unit of the raw score, in words."""
        return WORDS[self.name]

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the answers of raw scores, float64 of the same shape `[rows, outputs]`."""
        with np.errstate(over="ignore"):
            if self.name == "probability":
                return np.clip(raw, 0.0, 1.0)
            if self.name == "exp":
                return np.exp(raw)
            if self.name == "square":
                return np.sign(raw) * raw**2
            if self.name == "logistic":
                return 1 / (1 + np.exp(-self.slope * raw))
            if self.name == "softmax":
                power = np.exp(raw - raw.max(axis=-1, keepdims=True))
                return power / power.sum(axis=-1, keepdims=True)
            if self.name == "log1pexp":
                return np.logaddexp(0, raw)
        return raw
