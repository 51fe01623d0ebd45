"""A network of rectified units in float32, and one epoch of its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["regression", "binary", "multiclass"]
_FIRST_MOMENT, _SECOND_MOMENT, _EPSILON = 0.9, 0.999, 1e-8


@dataclass
class Network:
    """Layers of weights `[units before, units]` and biases, and Adam's moments of them."""

    weights: list[NDArray[np.float32]]
    biases: list[NDArray[np.float32]]
    steps: int = 0
    moments: list[list[NDArray[np.float32]]] = field(default_factory=list)

    @classmethod
    def drawn(cls, sizes: list[int], start: NDArray[np.float64], rng: np.random.Generator) -> Network:
        """Draw one (He et al. 2015) whose last layer answers about `start`."""
        weights, biases = [], []
        for layer, (before, units) in enumerate(pairwise(sizes)):
            last = layer == len(sizes) - 2
            spread = np.sqrt((0.1 if last else 2.0) / max(1, before))
            weights.append(rng.normal(0, spread, (before, units)).astype(np.float32))
            biases.append((start if last else np.zeros(units)).astype(np.float32))
        return cls(weights, biases)

    def kept(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Return copies of the layers as they are now."""
        return [w.copy() for w in self.weights], [b.copy() for b in self.biases]

    def raw_scores(self, columns: Any, rows: int = 8192) -> NDArray[np.float64]:
        """Return the raw scores `[n, outputs]` of the columns of a design."""
        found = []
        for start in range(0, columns.shape[0], rows):
            sums = columns[start : start + rows] @ self.weights[0] + self.biases[0]
            for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
                sums = np.maximum(sums, 0) @ weight + bias
            found.append(sums.astype(np.float64))
        return np.concatenate(found) if found else np.zeros((0, len(self.biases[-1])))


def epoch(
    network: Network,
    columns: Any,
    targets: NDArray[np.float32],
    weight: NDArray[np.float32],
    *,
    kind: Kind,
    rate: float,
    decay: float,
    dropout: float,
    batch: int,
    rng: np.random.Generator,
) -> None:
    """Train over all rows once, in an order of its own.

    It is Adam with decoupled weight decay (Loshchilov and Hutter 2019) and dropout on hidden units.

    Parameters
    ----------
    columns
        float32 `[n, columns]`, dense or SciPy's CSR.
    targets
        `[n, outputs]`: standardised numbers, 0 or 1, or one class of several as ones and zeros.
    weight
        `[n]`, of mean 1.
    """
    order = rng.permutation(len(targets))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        gradients = _gradients(network, columns[chosen], targets[chosen], weight[chosen], kind, dropout, rng)
        _step(network, gradients, rate, decay)


def _gradients(
    network: Network,
    part: Any,
    targets: NDArray[np.float32],
    weight: NDArray[np.float32],
    kind: Kind,
    dropout: float,
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:
    inputs, masks = [part], []
    sums = part @ network.weights[0] + network.biases[0]
    for layer, bias in zip(network.weights[1:], network.biases[1:], strict=True):
        mask = (sums > 0).astype(np.float32)
        if dropout:
            mask *= (rng.random(sums.shape, dtype=np.float32) >= dropout) / np.float32(1 - dropout)
        hidden = sums * mask
        inputs.append(hidden)
        masks.append(mask)
        sums = hidden @ layer + bias
    # The gradient of the loss by the raw score is the answer less the target, for all three losses.
    delta = (_answers(sums, kind) - targets) * (weight / len(weight))[:, None]
    found: list[NDArray[np.float32]] = []
    for place in range(len(network.weights) - 1, -1, -1):
        found += [delta.sum(0), np.asarray(inputs[place].T @ delta)]
        if place:
            delta = (delta @ network.weights[place].T) * masks[place - 1]
    return found[::-1]


def _answers(raw: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    if kind == "binary":
        return 0.5 * (1 + np.tanh(0.5 * raw))
    if kind == "multiclass":
        power = np.exp(raw - raw.max(1, keepdims=True))
        return power / power.sum(1, keepdims=True)
    return raw


def _step(network: Network, gradients: list[NDArray[np.float32]], rate: float, decay: float) -> None:
    layers = [one for pair in zip(network.weights, network.biases, strict=True) for one in pair]
    if not network.moments:
        network.moments = [[np.zeros_like(one), np.zeros_like(one)] for one in layers]
    network.steps += 1
    first, second = 1 - _FIRST_MOMENT**network.steps, 1 - _SECOND_MOMENT**network.steps
    for place, (values, gradient, moments) in enumerate(zip(layers, gradients, network.moments, strict=True)):
        mean, square = moments
        mean += (1 - _FIRST_MOMENT) * (gradient - mean)
        square += (1 - _SECOND_MOMENT) * (gradient**2 - square)
        if decay and place % 2 == 0:
            values *= np.float32(1 - rate * decay)
        values -= (
            np.float32(rate)
            * (mean / np.float32(first))
            / (np.sqrt(square / np.float32(second)) + np.float32(_EPSILON))
        )
