"""Learner families behind one protocol: what they take, how they train, and what their models are.

`synml_dagster.learners.lightgbm` has LightGBM's own estimator, and each family is a folder beside it. Names are imported
when they are first asked for: executors need two small modules of a family, and should not wait for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.learners.additive import AdditiveForm
    from synml_dagster.learners.base import Form, Learner, TrainedModel, learner_of
    from synml_dagster.learners.link import Link
    from synml_dagster.learners.registry import learner_names
    from synml_dagster.learners.space import ParameterRange
    from synml_dagster.learners.spec import TrainSpec
    from synml_dagster.learners.trees import Tree, TreeEnsemble

_MODULES = {
    "additive": "AdditiveForm",
    "base": "Form Learner TrainedModel learner_of",
    "link": "Link",
    "registry": "learner_names",
    "space": "ParameterRange",
    "spec": "TrainSpec",
    "trees": "Tree TreeEnsemble",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AdditiveForm",
    "Form",
    "Learner",
    "Link",
    "ParameterRange",
    "TrainSpec",
    "TrainedModel",
    "Tree",
    "TreeEnsemble",
    "learner_names",
    "learner_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
