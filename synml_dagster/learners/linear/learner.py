"""Linear and logistic regression as a learner family: a baseline that people can read, trained in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import did_you_mean
from synml_dagster.learners.base import Learner
from synml_dagster.learners.linear.model import LinearModel, read_form
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from synml_dagster.features import FeatureChoices, FeaturePlan
    from synml_dagster.learners.additive import AdditiveForm
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.space import Value

_METRIC = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "rmse"}
_DEFAULTS: dict[str, Any] = {"alpha": 1e-4, "l1_ratio": 0.0, "max_iter": 1000}
_NO_SUCH = {
    "rounds": "it has no boosting rounds; params.max_iter bounds the steps of its solver",
    "early_stopping": "it has no rounds to stop early",
    "ranks": "it is trained in one process",
}


class LinearLearner(Learner):
    """scikit-learn's linear models on standardised features, with a term of its own for missing and for each category."""

    name: ClassVar[str] = "linear"
    title: ClassVar[str] = "A linear model"
    kinds: ClassVar[frozenset[str]] = frozenset({"scikitlearn"})
    summary: ClassVar[str] = (
        "A linear or logistic regression by scikit-learn, with its penalty chosen on the validation rows."
    )
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass", "regression"})
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    no_such_keys: ClassVar[Mapping[str, str]] = _NO_SUCH
    importance_name: ClassVar[str] = "spread of its term over the training rows"
    precedence: ClassVar[int] = 50
    model: ClassVar[type[TrainedModel]] = LinearModel

    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse unknown parameters and values out of range."""
        for name, value in params.items():
            if name not in _DEFAULTS:
                raise ValueError(
                    f"params: learner linear has no {name!r}; it has {', '.join(_DEFAULTS)}.{did_you_mean(name, _DEFAULTS)}"
                )
            number = isinstance(value, int | float) and not isinstance(value, bool)
            bounds = {"alpha": (0, 1e12), "l1_ratio": (0, 1), "max_iter": (1, 1_000_000)}[name]
            if not number or not bounds[0] <= value <= bounds[1] or (name == "alpha" and value == 0):
                raise ValueError(
                    f"params.{name} is a number from {bounds[0]:g} to {bounds[1]:g} but got {value!r}"
                )
        return dict(params)

    def space(self) -> Mapping[str, ParameterRange]:
        """Return ten powers of ten of the penalty."""
        return {"alpha": ParameterRange(low=1e-8, high=10.0, log=True)}

    def start(self) -> Mapping[str, Value]:
        """Return a light penalty."""
        return {"alpha": _DEFAULTS["alpha"]}

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return a stronger ridge, and an elastic net that leaves columns out."""
        return {"ridge": {"alpha": 1e-2}, "elastic_net": {"alpha": 1e-3, "l1_ratio": 0.5}}

    def feature_choices(self) -> FeatureChoices:
        """Return ranks in place of numbers, means of the label in place of a column for each category, more words."""
        from synml_dagster.features import FeatureChoices

        return FeatureChoices(scale=["quantile"], encoding=["target"], text_width=[256])

    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Return the loss that the model minimises, on the validation rows."""
        self.check_task(plan.task)
        return _METRIC[plan.task], False

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return alpha, l1_ratio and max_iter."""
        self.check_task(plan.task)
        return {**_DEFAULTS, **chosen, **spec.params}

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
    ) -> LinearModel:
        """Train in this process; `facts` has how many rows of the table, and the solver's warnings."""
        from synml_dagster.learners.linear.fitting import fit

        params = self.params(plan, spec, chosen)
        return fit(plan, params, train, validation, metric=_METRIC[plan.task], seed=spec.seed)

    def form(self, text: str) -> AdditiveForm:
        """Return the terms of a model's text."""
        return read_form(text)


LEARNER = LinearLearner()
