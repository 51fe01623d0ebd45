"""XGBoost's parameters that a pipeline takes, the ranges of a sweep, and sets of them that are worth a trial of their own.

https://xgboost.readthedocs.io/en/stable/parameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synml_dagster.learners.one_process.family import MAX_ROWS
from synml_dagster.learners.one_process.parameters import Parameter
from synml_dagster.learners.space import ParameterRange, Value

INSTALL = "Install synml-dagster[xgboost], or the package xgboost-cpu."
"""How to come by the library."""
_MOST = 1e9
_SHARE = Parameter(low=0, high=1, above=True)

OBJECTIVES: dict[str, tuple[str, ...]] = {
    "binary": ("binary:logistic",),
    "multiclass": ("multi:softprob",),
    "regression": (
        "reg:squarederror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:squaredlogerror",
        "reg:logistic",
        "reg:gamma",
        "reg:tweedie",
        "count:poisson",
    ),
    "ranking": ("rank:ndcg", "rank:pairwise", "rank:map"),
}
"""By task, what can be optimised; the first where nothing is said."""
TAKES_OFFSET = frozenset(
    {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"}
)
"""Objectives of differences: a label less a constant has the same trees, and float32 keeps what differs."""

TABLE: dict[str, Parameter] = {
    "max_rows": MAX_ROWS,
    "learning_rate": Parameter(low=0, high=1, above=True, aliases=("eta",)),
    "max_depth": Parameter(low=0, high=64, whole=True),
    "max_leaves": Parameter(low=0, high=1e6, whole=True),
    "grow_policy": Parameter(values=("depthwise", "lossguide")),
    "min_child_weight": Parameter(low=0, high=_MOST),
    "gamma": Parameter(low=0, high=_MOST, aliases=("min_split_loss",)),
    "reg_alpha": Parameter(low=0, high=_MOST, aliases=("alpha",)),
    "reg_lambda": Parameter(low=0, high=_MOST, aliases=("lambda",)),
    "subsample": _SHARE,
    "sampling_method": Parameter(values=("uniform",)),
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "colsample_bynode": _SHARE,
    "max_delta_step": Parameter(low=0, high=_MOST),
    "max_bin": Parameter(low=2, high=65535, whole=True),
    "max_cat_to_onehot": Parameter(low=1, high=1e6, whole=True),
    "max_cat_threshold": Parameter(low=1, high=1e6, whole=True),
    "num_parallel_tree": Parameter(low=1, high=10_000, whole=True),
    "scale_pos_weight": Parameter(low=0, high=_MOST, above=True),
    "base_score": Parameter(low=-_MOST, high=_MOST),
    "tree_method": Parameter(values=("auto", "hist", "approx", "exact")),
    "booster": Parameter(values=("gbtree", "dart")),
    "rate_drop": Parameter(low=0, high=1),
    "skip_drop": Parameter(low=0, high=1),
    "one_drop": Parameter(values=(0, 1, True, False)),
    "sample_type": Parameter(values=("uniform", "weighted")),
    "normalize_type": Parameter(values=("tree", "forest")),
    "monotone_constraints": Parameter(),
    "interaction_constraints": Parameter(),
    "objective": Parameter(values=tuple(name for names in OBJECTIVES.values() for name in names)),
    "eval_metric": Parameter(),
    "tweedie_variance_power": Parameter(low=1, high=2, above=True),
    "huber_slope": Parameter(low=0, high=_MOST, above=True),
    "quantile_alpha": Parameter(low=0, high=1, above=True),
    "lambdarank_pair_method": Parameter(values=("mean", "topk")),
    "lambdarank_num_pair_per_sample": Parameter(low=1, high=1e6, whole=True),
    "lambdarank_normalization": Parameter(values=(True, False)),
    "ndcg_exp_gain": Parameter(values=(True, False)),
    "nthread": Parameter(low=1, high=4096, whole=True, aliases=("n_jobs", "num_threads")),
}
SAID_ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("n_estimators", "num_boost_round", "num_round"), "is said by train.rounds, not by train.params"
    ),
    "early_stopping_rounds": "is said by train.early_stopping, not by train.params",
    **dict.fromkeys(("seed", "random_state"), "is said by train.seed, not by train.params"),
    "num_class": "is taken from the label's classes",
    "device": "is the processor: a GPU is not among what this learner is tested on",
    "multi_strategy": "is one tree a class: leaves of vectors have no ONNX graph here",
    "enable_categorical": "is always on: categorical features of the plan are categories to XGBoost",
}
DEFAULTS: dict[str, Any] = {"learning_rate": 0.3, "max_depth": 6, "tree_method": "hist"}

# TabArena's ranges (Erickson et al. 2025, packages/tabarena), widened to hold XGBoost's defaults and the tuned ones below.
SPACE: dict[str, ParameterRange] = {
    "learning_rate": ParameterRange(low=0.005, high=0.3, log=True),
    "max_depth": ParameterRange(low=4, high=10, log=True),
    "min_child_weight": ParameterRange(low=1e-6, high=5.0, log=True),
    "subsample": ParameterRange(low=0.6, high=1.0),
    "colsample_bylevel": ParameterRange(low=0.6, high=1.0),
    "colsample_bynode": ParameterRange(low=0.6, high=1.0),
    "reg_alpha": ParameterRange(low=1e-6, high=5.0, log=True),
    "reg_lambda": ParameterRange(low=1e-6, high=5.0, log=True),
}
START: dict[str, Value] = {
    "learning_rate": 0.3,
    "max_depth": 6,
    "min_child_weight": 1.0,
    "subsample": 1.0,
    "colsample_bylevel": 1.0,
    "colsample_bynode": 1.0,
    "reg_alpha": 1e-6,
    "reg_lambda": 1.0,
}
"""XGBoost's own defaults; its L1 penalty is 0, which no logarithm has."""

# "Better by default" (Holzmüller, Grinsztajn, Steinwart 2024, arXiv 2407.04491): defaults tuned on 118 tables, XGB_TD, whose
# L2 penalty is 0: the least that a logarithmic range has stands for it.
_TUNED_CLASSES: dict[str, Value] = {
    "learning_rate": 0.08,
    "max_depth": 6,
    "min_child_weight": 5e-6,
    "reg_lambda": 1e-6,
    "colsample_bylevel": 0.9,
    "subsample": 0.65,
}
_TUNED_NUMBERS: dict[str, Value] = {
    "learning_rate": 0.05,
    "max_depth": 9,
    "min_child_weight": 2.0,
    "reg_lambda": 1e-6,
    "subsample": 0.7,
}
_BEST_LEAF_FIRST: dict[str, Value] = {
    "learning_rate": 0.05,
    "grow_policy": "lossguide",
    "max_leaves": 64,
    "max_depth": 10,
    "min_child_weight": 1.0,
    "subsample": 0.8,
    "colsample_bynode": 0.7,
}


def portfolio(task: str) -> Mapping[str, Mapping[str, Value]]:
    """Return the named sets of parameters for a task, the most promising first."""
    tuned = _TUNED_NUMBERS if task == "regression" else _TUNED_CLASSES
    return {"tuned": tuned, "best_leaf_first": _BEST_LEAF_FIRST}
