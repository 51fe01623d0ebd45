"""A network as JSON whose arrays are packed."""

from __future__ import annotations

import json

import numpy as np

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link
from synml_dagster.learners.network import NetworkForm
from synml_dagster.learners.one_process.additive_text import read_form, write_form
from synml_dagster.learners.one_process.packed import DAMAGE, packed, unpacked


def write_network(form: NetworkForm) -> str:
    """Return the text of a network."""
    layers = [
        {"units": len(bias), "weight": packed(weight, "<f8"), "bias": packed(bias, "<f8")}
        for weight, bias in zip(form.weights, form.biases, strict=True)
    ]
    return json.dumps(
        {
            "format": 1,
            "link": form.link.name,
            "classifies": form.classifies,
            "low": packed(form.low, "<f4"),
            "high": packed(form.high, "<f4"),
            "first": write_form(form.first),
            "layers": layers,
            "background": packed(form.background, "<f4"),
        }
    )


def read_network(text: str) -> NetworkForm:
    """Read what `write_network` wrote.

    Raises
    ------
    ModelError
        The text is damaged.
    """
    try:
        raw = json.loads(text)
        if raw["format"] != 1:
            raise ModelError(f"the network's text has format {raw['format']!r}; update synml_dagster.")
        first = read_form(raw["first"])
        low, high = unpacked(raw["low"], "<f4"), unpacked(raw["high"], "<f4")
        before, weights, biases = first.num_outputs, [], []
        for layer in raw["layers"]:
            units = int(layer["units"])
            weights.append(unpacked(layer["weight"], "<f8").reshape(before, units))
            biases.append(unpacked(layer["bias"], "<f8").reshape(units))
            before = units
        if not len(low) == len(high) == first.num_features:
            raise ValueError("the bounds are of other features than the first layer")
        return NetworkForm(
            low.astype(np.float32),
            high.astype(np.float32),
            first,
            tuple(weights),
            tuple(biases),
            Link(raw["link"]),
            bool(raw["classifies"]),
            unpacked(raw["background"], "<f4").reshape(-1, len(low)).astype(np.float32),
        )
    except ModelError:
        raise
    except DAMAGE as problem:
        raise ModelError(f"the text of the network is damaged: {problem!r}") from problem
