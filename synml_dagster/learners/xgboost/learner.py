"""XGBoost as a learner family: in one process, on the whole table where it fits, else on a sample of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.learners.one_process.family import OneProcessLearner
from synml_dagster.learners.one_process.parameters import Parameters
from synml_dagster.learners.trained import TrainedModel
from synml_dagster.learners.xgboost.metrics import is_higher_better, metrics_of, reported
from synml_dagster.learners.xgboost.model import XGBoostModel
from synml_dagster.learners.xgboost.model_json import parse_model
from synml_dagster.learners.xgboost.parameters import (
    DEFAULTS,
    INSTALL,
    OBJECTIVES,
    SAID_ELSEWHERE,
    SPACE,
    START,
    TABLE,
    portfolio,
)

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.space import ParameterRange, Value
    from synml_dagster.learners.trees import TreeEnsemble

_LONGEST_POWER_GRADE = 31
_ONLY_DART = ("rate_drop", "skip_drop", "one_drop", "sample_type", "normalize_type")


class XGBoostLearner(OneProcessLearner):
    """XGBoost by its histogram method, with the plan's categories as categories."""

    name: ClassVar[str] = "xgboost"
    title: ClassVar[str] = "XGBoost"
    kinds: ClassVar[frozenset[str]] = frozenset({"xgboost"})
    summary: ClassVar[str] = "XGBoost, trained in one process with early stopping on the validation rows."
    packages: ClassVar[tuple[str, ...]] = ("xgboost-cpu", "xgboost")
    no_such_keys: ClassVar[Mapping[str, str]] = {"ranks": "it is trained in one process"}
    round_name: ClassVar[str] = "boosting round"
    importance_name: ClassVar[str] = "gain of all splits"
    searched_most: ClassVar[bool] = True
    precedence: ClassVar[int] = 20
    model: ClassVar[type[TrainedModel]] = XGBoostModel
    table: ClassVar[Parameters] = TABLE
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    said_elsewhere: ClassVar[Mapping[str, str]] = SAID_ELSEWHERE
    default_rows: ClassVar[int] = 5_000_000

    def installed(self) -> bool:
        """Return whether XGBoost is there."""
        return find_spec("xgboost") is not None

    def check_installed(self) -> None:
        """Refuse to be chosen where XGBoost is not there."""
        if not self.installed():
            raise SetupError(f"learner xgboost needs XGBoost, which is not installed here. {INSTALL}")

    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse unknown parameters, values that one does not take, and what other keys say."""
        found = super().checked_params(params)
        signs = found.get("monotone_constraints", {})
        if not isinstance(signs, Mapping) or not all(sign in (-1, 0, 1) for sign in signs.values()):
            raise ConfigError(
                f"params.monotone_constraints is a mapping from feature to -1, 0 or 1 but got {signs!r}"
            )
        together = found.get("interaction_constraints", [])
        if not isinstance(together, list) or not all(isinstance(names, list) for names in together):
            raise ConfigError(
                f"params.interaction_constraints is a list of lists of features but got {together!r}"
            )
        return found

    def space(self) -> Mapping[str, ParameterRange]:
        """Return TabArena's ranges."""
        return SPACE

    def start(self) -> Mapping[str, Value]:
        """Return XGBoost's defaults."""
        return START

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return a tuned default, and trees grown at their best leaf."""
        return portfolio(task)

    def check_metrics(self, task: str, params: Mapping[str, Any]) -> None:
        """Refuse metrics that XGBoost does not have for the task."""
        metrics_of(params.get("eval_metric"), task)

    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Return the metric that trainings stop by and sweeps search by."""
        first = metrics_of(spec.params.get("eval_metric"), plan.task)[0]
        return reported(first).partition("@")[0], is_higher_better(first)

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return XGBoost's parameters.

        Raises
        ------
        ConfigError
            The objective or a metric is another task's, a parameter is dart's alone, or early stopping does not go with the
            booster.
        """
        wanted = OBJECTIVES[plan.task]
        params: dict[str, Any] = {"objective": wanted[0], **super().params(plan, spec, chosen)}
        if plan.task == "multiclass":
            params["num_class"] = len(plan.label.classes or [])
        if plan.task == "ranking" and (plan.label.maximum or 0) > _LONGEST_POWER_GRADE:
            params.setdefault("ndcg_exp_gain", False)
        if params["objective"] not in wanted:
            raise ConfigError(
                f"train.params.objective {params['objective']!r} does not go with task {plan.task!r} of label {plan.label.column!r}; leave it out, or use {' or '.join(map(repr, wanted))}."
            )
        metrics_of(params.get("eval_metric"), plan.task)
        if params.get("booster") == "dart":
            if spec.early_stopping:
                raise ConfigError(
                    "train.params.booster 'dart' changes earlier trees in later rounds, so that no best round can be cut out; set train.early_stopping: 0"
                )
        elif lost := [name for name in _ONLY_DART if name in params]:
            raise ConfigError(
                f"train.params.{lost[0]} is read with booster 'dart' alone; add it, or leave {lost[0]} out."
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
    ) -> XGBoostModel:
        """Train in this process; `facts["notes"]` says what of the table was left out."""
        from synml_dagster.learners.xgboost.training import train as train_rows

        params = self.params(plan, spec, chosen)
        return train_rows(
            plan, spec, params, train, validation, threads=threads, on_progress=on_progress, judge=judge
        )

    def form(self, text: str) -> TreeEnsemble:
        """Return the trees of XGBoost's JSON."""
        return parse_model(text)


LEARNER = XGBoostLearner()
