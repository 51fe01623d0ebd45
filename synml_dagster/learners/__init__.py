"""Learner families behind one protocol: what they take, how they train, and what their models are.

`synml_dagster.learners.lightgbm` has LightGBM's own estimator, and each family is a folder beside it. Names are imported
when they are first asked for: executors need two small modules of a family, and should not wait for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.learners.additive import AdditiveForm
    from synml_dagster.learners.base import Learner, TrainedModel, learner_of
    from synml_dagster.learners.form import Form, MixtureForm
    from synml_dagster.learners.link import Link
    from synml_dagster.learners.network import NetworkForm
    from synml_dagster.learners.refit import refitted
    from synml_dagster.learners.registry import learner_names
    from synml_dagster.learners.scored import ScoredForm
    from synml_dagster.learners.space import ParameterRange, Value
    from synml_dagster.learners.spec import TrainSpec
    from synml_dagster.learners.trees import Tree, TreeEnsemble

_MODULES = {
    "additive": "AdditiveForm",
    "base": "Learner TrainedModel learner_of",
    "form": "Form MixtureForm",
    "link": "Link",
    "network": "NetworkForm",
    "refit": "refitted",
    "registry": "learner_names",
    "scored": "ScoredForm",
    "space": "ParameterRange Value",
    "spec": "TrainSpec",
    "trees": "Tree TreeEnsemble",
}

__all__ = [
    "AdditiveForm",
    "Form",
    "Learner",
    "Link",
    "MixtureForm",
    "NetworkForm",
    "ParameterRange",
    "ScoredForm",
    "TrainSpec",
    "TrainedModel",
    "Tree",
    "TreeEnsemble",
    "Value",
    "learner_names",
    "learner_of",
    "refitted",
]

__getattr__ = lazy(__name__, _MODULES)
