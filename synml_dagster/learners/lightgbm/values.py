"""Values of parameters, by LightGBM's own word: it is asked with twenty rows, and not at the end of a pipeline's work."""

from __future__ import annotations

import re
from typing import Any

from synml_dagster.errors import ConfigError

_TYPE = "should be of type"
_UNKNOWN = re.compile(r"^Unknown \w+( \w+)* (type|learner|metric|objective)", re.IGNORECASE)


def check_value(name: str, value: Any, key: str) -> None:
    """Refuse a value that LightGBM takes for no training.

    What is wrong only beside another parameter is not looked for.

    Parameters
    ----------
    name
        The parameter's main name.
    key
        Where the description says it.

    Raises
    ------
    ConfigError
        LightGBM refuses it.
    """
    if isinstance(value, list | tuple | dict) or callable(value) or not _is_asked(name):
        return
    import lightgbm as lgb
    import numpy as np

    params = {"objective": "regression", "verbosity": -1, "num_threads": 1, name: value}
    try:
        data = lgb.Dataset(np.arange(20.0)[:, None], np.arange(20.0) % 2, params=params)
        lgb.Booster(params, data)
    except lgb.basic.LightGBMError as problem:
        text = re.sub(r" at /.*$", "", (str(problem).strip().splitlines() or [""])[0]).rstrip(" .")
        about_it = text.startswith("Check failed") and re.search(rf"\b{re.escape(name)}\b", text)
        if about_it or _TYPE in text or _UNKNOWN.match(text):
            raise ConfigError(f"{key}: LightGBM takes no {name}={value!r}: {text}.") from problem


def _is_asked(name: str) -> bool:
    """Whether the value means something by itself: an objective or a metric is of a task, a file of a disk, a device of a host."""
    return not name.endswith(("filename", "_file", "device_id")) and name not in (
        *("objective", "metric", "num_class", "device_type", "tree_learner", "label_gain", "eval_at"),
        *("num_threads", "verbosity", "categorical_feature", "num_iterations"),
        # Of each feature one value, and here there is one feature.
        *("monotone_constraints", "max_bin_by_feature", "feature_contri", "interaction_constraints"),
        *("cegb_penalty_feature_lazy", "cegb_penalty_feature_coupled"),
    )
