"""LightGBM's own parameters: every name and alias, and which of them a training on Spark cannot honour."""

from __future__ import annotations

import ctypes
import functools
import json
from collections.abc import Mapping
from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean

_NETWORK = "the group of ranks sets its own network"
_FILES = "it belongs to LightGBM's command line; the data comes from fit()"
_PREDICTS = "it belongs to prediction, not to training"
# What fit() decides by itself or by another argument, and what a rank has no use for.
REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("machines", "machine_list_filename", "num_machines", "local_listen_port", "time_out"), _NETWORK
    ),
    **dict.fromkeys(
        [
            "task",
            "data",
            "valid",
            "config",
            "header",
            "two_round",
            "save_binary",
            "precise_float_parser",
            "parser_config_file",
            "convert_model",
            "convert_model_language",
            "output_result",
        ],
        _FILES,
    ),
    **dict.fromkeys(
        [
            "predict_raw_score",
            "predict_leaf_index",
            "predict_contrib",
            "predict_disable_shape_check",
            "pred_early_stop",
            "pred_early_stop_freq",
            "pred_early_stop_margin",
            "start_iteration_predict",
            "num_iteration_predict",
        ],
        _PREDICTS,
    ),
    "input_model": "pass init_model to fit()",
    "output_model": "call save() on the model that fit() returns",
    "snapshot_freq": "pass checkpoint and checkpoint_seconds",
    "metric_freq": "every round is evaluated",
    "pre_partition": "each rank always keeps the rows it was given",
    "label_column": "pass label to fit()",
    "weight_column": "pass weight to fit()",
    "group_column": "pass group to fit()",
    "ignore_column": "leave the column out of features",
    "categorical_feature": "pass categorical, a list of column names, to fit()",
    "refit_decay_rate": "it belongs to LightGBM's refit task",
    "lambdarank_position_bias_regularization": "positions of documents are not among the columns of fit()",
}
# What is honest only where one rank holds all rows.
REFUSED_ON_SEVERAL: dict[str, str] = {
    "use_quantized_grad": "LightGBM 4.7 dies in its own check (left_count > 0) when several ranks train with quantized gradients",
    "linear_tree": "LightGBM fits linear leaves only where one rank holds all rows",
    "is_provide_training_metric": "each rank would report the metric of its own rows only",
    "cegb_penalty_feature_lazy": "which rows have paid for a feature is known only where one rank holds all rows",
    "interaction_constraints": "LightGBM 4.7 breaks down (std::bad_alloc) when several ranks train under them",
    "forcedsplits_filename": "LightGBM's data-parallel learner does not follow forced splits",
}
_DEVICES = {"cpu": "cpu", "gpu": "gpu", "cuda": "cuda"}


@functools.cache
def catalogue() -> dict[str, str]:
    """Return every name that the installed LightGBM knows, alias or not, with the parameter that it stands for."""
    from lightgbm.basic import _LIB

    size = ctypes.c_int64(0)
    _LIB.LGBM_DumpParamAliases(ctypes.c_int64(0), ctypes.byref(size), None)
    text = ctypes.create_string_buffer(size.value)
    _LIB.LGBM_DumpParamAliases(ctypes.c_int64(size.value), ctypes.byref(size), text)
    names: dict[str, str] = {}
    for name, aliases in json.loads(text.value).items():
        names[name] = name
        names.update(dict.fromkeys(aliases, name))
    return names


def check_params(params: Mapping[str, Any] | None, *, ranks: int | None = None) -> dict[str, Any]:
    """Return `params` under LightGBM's main names.

    Parameters
    ----------
    params : mapping
        LightGBM's parameters by name or alias. A value None means LightGBM's default.
    ranks : int, optional
        How many ranks will train; some parameters are honest on one rank alone. None where that is not known yet.

    Raises
    ------
    ConfigError
        A name is unknown (the nearest known ones are named), given twice under two aliases with different values,
        or one that distributed training cannot honour (with the reason).
    """
    if not params:
        return {}  # the catalogue is asked of LightGBM's library, which drawing a graph need not load
    known = catalogue()
    checked: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, value in params.items():
        if not isinstance(name, str) or name not in known:
            raise ConfigError(f"LightGBM has no parameter {name!r}.{did_you_mean(str(name), known)}")
        if value is None:
            continue
        main = known[name]
        if main in REFUSED:
            raise ConfigError(f"LightGBM's {name!r} cannot be set here: {REFUSED[main]}.")
        if main in checked and not _same(checked[main], value):
            raise ConfigError(
                f"{origin[main]!r} and {name!r} are two names of LightGBM's {main!r} and were given different values, {checked[main]!r} and {value!r}. Keep one."
            )
        checked[main] = value
        origin[main] = name
    _check_learner(checked, ranks)
    if ranks is not None and ranks > 1:
        for main, reason in REFUSED_ON_SEVERAL.items():
            if _is_on(checked.get(main)):
                raise ConfigError(
                    f"LightGBM's {origin[main]!r} cannot be honoured on {ranks} ranks: {reason}. Leave it out, or train with ranks=1."
                )
        _check_values_on_several(checked, ranks)
    return checked


def _check_values_on_several(params: Mapping[str, Any], ranks: int) -> None:
    method = str(params.get("monotone_constraints_method", "basic"))
    if method != "basic" and params.get("monotone_constraints"):
        raise ConfigError(
            f"monotone_constraints_method={method!r} cannot be honoured on {ranks} ranks: LightGBM would take 'basic' in its place. Leave it out, or train with ranks=1."
        )
    if int(params.get("min_data_in_leaf", 20)) < 1:
        raise ConfigError(
            f"min_data_in_leaf={params['min_data_in_leaf']!r} is for one rank and {ranks} would train: several ranks estimate the rows of a leaf, and LightGBM dies where it makes a leaf that is estimated to have none. Give at least 1."
        )


def _check_learner(params: Mapping[str, Any], ranks: int | None) -> None:
    learner = str(params.get("tree_learner", "data")).casefold().removesuffix("_parallel")
    if learner == "feature":
        raise ConfigError(
            "LightGBM's tree_learner='feature' needs all rows on every rank, which LightGBM's C interface refuses. Use 'data' or 'voting'."
        )
    if learner not in ("serial", "data", "voting"):
        raise ConfigError(f"tree_learner={params['tree_learner']!r} is none of 'serial', 'data', 'voting'.")
    if learner == "serial" and "tree_learner" in params and (ranks or 1) > 1:
        raise ConfigError(f"tree_learner='serial' is for one rank and {ranks} would train. Leave it out.")
    device = str(params.get("device_type", "cpu")).casefold()
    if device not in _DEVICES:
        raise ConfigError(f"device_type={device!r} is none of 'cpu', 'gpu', 'cuda'.")
    if device != "cpu" and (ranks or 1) > 1:
        raise ConfigError(
            f"LightGBM trains on device_type={device!r} with one rank only; {ranks} would train. Pass ranks=1."
        )


def _is_on(value: Any) -> bool:
    if value is None or value is False or value == "":
        return False
    return str(value).casefold() not in ("false", "0", "-", "none")


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except ValueError:
        return False
