"""An additive form as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from synml_dagster.errors import ModelError
from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.link import Link

_ARRAYS = {
    "intercept": np.float64,
    "slope": np.float64,
    "missing": np.float64,
    "category_feature": np.int64,
    "category_code": np.float32,
    "category_term": np.float64,
    "mean_term": np.float64,
}


def write_form(form: AdditiveForm) -> str:
    """Return the terms as JSON."""
    arrays: dict[str, Any] = {name: getattr(form, name).tolist() for name in _ARRAYS}
    return json.dumps({"link": form.link.name, "classifies": form.classifies, **arrays}, allow_nan=False)


def read_form(text: str) -> AdditiveForm:
    """Read what `write_form` wrote.

    Raises
    ------
    ModelError
        The text is damaged.
    """
    try:
        raw = json.loads(text)
        arrays: dict[str, Any] = {name: np.array(raw[name], dtype=kind) for name, kind in _ARRAYS.items()}
        outputs = len(arrays["intercept"])
        for name in ("slope", "missing", "category_term", "mean_term"):  # an empty list says no width
            arrays[name] = arrays[name].reshape(-1, outputs)
        return AdditiveForm(link=Link(raw["link"]), classifies=bool(raw["classifies"]), **arrays)
    except (KeyError, ValueError, TypeError) as problem:
        raise ModelError(f"the text of the model's terms is damaged: {problem}") from problem
