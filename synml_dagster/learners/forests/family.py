"""A family of forests: what random forests and extremely randomised trees say alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import ConfigError
from synml_dagster.learners.forests.model import ForestModel
from synml_dagster.learners.forests.text import read_forest
from synml_dagster.learners.one_process.family import MAX_ROWS, OneProcessLearner
from synml_dagster.learners.one_process.parameters import Parameter, Parameters

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.trees import TreeEnsemble

_OF_CLASSES = ("gini", "entropy", "log_loss")
_OF_NUMBERS = ("squared_error", "poisson")
_FLAG = Parameter(values=(True, False))
TABLE: dict[str, Parameter] = {
    "max_rows": MAX_ROWS,
    "max_nodes": Parameter(low=3, high=1e9, whole=True),
    "n_estimators": Parameter(low=1, high=100_000, whole=True, aliases=("n_trees", "num_trees")),
    "criterion": Parameter(values=(*_OF_CLASSES, *_OF_NUMBERS)),
    "max_depth": Parameter(low=1, high=63, whole=True),
    "max_leaf_nodes": Parameter(low=2, high=1e8, whole=True, aliases=("max_leaves",)),
    "min_samples_split": Parameter(low=2, high=1e9, whole=True),
    "min_samples_leaf": Parameter(low=1, high=1e9, whole=True),
    "min_impurity_decrease": Parameter(low=0, high=1e12),
    "max_features": Parameter(low=0, high=1, above=True, values=("auto", "sqrt", "log2")),
    "bootstrap": _FLAG,
    "max_samples": Parameter(low=0, high=1, above=True),
    "class_weight": Parameter(values=("balanced", "balanced_subsample")),
    "ccp_alpha": Parameter(low=0, high=1e12),
    "n_jobs": Parameter(low=1, high=4096, whole=True),
}
DEFAULTS: dict[str, Any] = {
    "n_estimators": 100,
    "max_nodes": 400_000,
    "max_depth": 32,
    "min_samples_split": 2,
    "min_samples_leaf": 3,
    "min_impurity_decrease": 0.0,
    "max_features": "auto",
}
_NO_SUCH = {
    "rounds": "params.n_estimators says how many trees it has",
    "early_stopping": "its trees do not follow one another; params.n_estimators says how many it has",
    "ranks": "it is trained in one process",
}


class ForestLearner(OneProcessLearner):
    """A forest of scikit-learn.

    Attributes
    ----------
    classifier, regressor
        Classes of `sklearn.ensemble`.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"scikitlearn"})
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass", "regression"})
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    no_such_keys: ClassVar[Mapping[str, str]] = _NO_SUCH
    said_elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("random_state", "seed"), "is said by train.seed, not by train.params"
    )
    round_name: ClassVar[str] = "tree"
    importance_name: ClassVar[str] = "impurity that all splits took away"
    table: ClassVar[Parameters] = TABLE
    default_rows: ClassVar[int] = 500_000
    classifier: ClassVar[str]
    regressor: ClassVar[str]

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the forest's parameters.

        Raises
        ------
        ConfigError
            The criterion is another task's, or a parameter needs `bootstrap`.
        """
        params = super().params(plan, spec, chosen)
        wanted = _OF_NUMBERS if plan.task == "regression" else _OF_CLASSES
        if (said := params.get("criterion")) is not None and said not in wanted:
            raise ConfigError(
                f"train.params.criterion {said!r} does not go with task {plan.task!r} of label {plan.label.column!r}; leave it out, or use {' or '.join(map(repr, wanted))}."
            )
        if plan.task == "regression" and "class_weight" in params:
            raise ConfigError(
                "train.params.class_weight is for classes, and the task is 'regression'; leave it out."
            )
        if not params["bootstrap"] and "max_samples" not in spec.params:
            params.pop("max_samples", None)  # what a sweep searches where rows are drawn
        if not params["bootstrap"] and params.get("max_samples", 1.0) < 1:
            raise ConfigError(
                "train.params.max_samples is the share of rows that bootstrap draws, and bootstrap is off; set bootstrap: true, or leave max_samples out."
            )
        return params

    def fit_rows(
        self,
        plan: FeaturePlan,
        spec: Settings,
        chosen: Mapping[str, Any],
        train: Rows,
        validation: Rows,
        *,
        threads: int = 1,
        on_progress: Callable[[Any], None] | None = None,
        judge: Judge | None = None,
    ) -> ForestModel:
        """Grow a forest in this process; `facts["notes"]` says what of the table was left out, and what bounded the trees."""
        from synml_dagster.learners.forests.training import train as grow

        assert issubclass(self.model, ForestModel)
        return grow(
            plan,
            self.params(plan, spec, chosen),
            train,
            validation,
            model=self.model,
            classifier=self.classifier,
            regressor=self.regressor,
            threads=threads,
            seed=spec.seed,
            on_progress=on_progress,
        )

    def form(self, text: str) -> TreeEnsemble:
        """Return the trees of a forest's text."""
        return read_forest(text)
