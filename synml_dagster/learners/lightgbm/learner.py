"""LightGBM as a learner family: what a pipeline's description says becomes its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import ConfigError
from synml_dagster.features import GROUP, LABEL, WEIGHT
from synml_dagster.features.fitting.precision import label_offset
from synml_dagster.learners.base import Learner
from synml_dagster.learners.lightgbm.metrics import (
    check_metrics,
    is_higher_better,
    label_gains,
    metric_names,
    stopping_metrics,
)
from synml_dagster.learners.lightgbm.model import LightGBMModel
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.learners.lightgbm.objectives import TAKES_OFFSET, fits_task, objective_of, root_of_labels
from synml_dagster.learners.lightgbm.params import catalogue, check_params
from synml_dagster.learners.lightgbm.space import SPACE, START, portfolio
from synml_dagster.learners.lightgbm.values import check_value
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.space import ParameterRange, Value
    from synml_dagster.learners.trees import TreeEnsemble

# Set by the pipeline itself from other keys of the description.
_OWN = {
    "num_iterations": "train.rounds",
    "early_stopping_round": "train.early_stopping",
    "seed": "train.seed",
    "num_machines": "train.ranks",
}
_FRACTIONS = ("bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction")
_OBJECTIVE = {
    "binary": "binary",
    "multiclass": "multiclass",
    "regression": "regression",
    "ranking": "lambdarank",
}
# The first of each stops the training and is what the sweep searches by; all are reported round by round. It is a proper
# score: the area under the curve can be 1 after one tree whose probabilities are all on one side of a half.
_METRICS = {
    "binary": ["binary_logloss", "auc"],
    "multiclass": ["multi_logloss", "multi_error"],
    "regression": ["rmse", "l1"],
    "ranking": ["ndcg"],
}


class LightGBMLearner(Learner):
    """LightGBM across the ranks of a Spark session."""

    name: ClassVar[str] = "lightgbm"
    title: ClassVar[str] = "LightGBM"
    kinds: ClassVar[frozenset[str]] = frozenset({"lightgbm"})
    summary: ClassVar[str] = "LightGBM, trained on Spark ranks with early stopping on the validation rows."
    scales: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)
    round_name: ClassVar[str] = "boosting round"
    importance_name: ClassVar[str] = "gain of all splits"
    searched_most: ClassVar[bool] = True
    precedence: ClassVar[int] = 10
    model: ClassVar[type[TrainedModel]] = LightGBMModel

    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse parameters that LightGBM does not know, and those that other keys say."""
        checked = check_params(params)
        for name, key in _OWN.items():
            if name in checked:
                raise ValueError(f"{name} is said by {key}, not by train.params")
        for name, value in checked.items():
            check_value(name, value, f"params.{name}")
        return checked

    def space(self) -> Mapping[str, ParameterRange]:
        """Return ranges around LightGBM's defaults."""
        return SPACE

    def checked_space(self, space: Mapping[str, ParameterRange]) -> dict[str, ParameterRange]:
        """Return ranges under LightGBM's main names: an alias is no other parameter than the one it stands for.

        Raises
        ------
        ConfigError
            LightGBM knows no such parameter, the pipeline itself sets it, or it is searched under two names.
        """
        known = catalogue()
        found: dict[str, ParameterRange] = {}
        for name, values in space.items():
            if (key := _OWN.get(known.get(name, ""))) is not None:
                raise ConfigError(f"sweep.space: {name!r} is said by {key} and cannot be searched")
            for value in [values.low, values.high] if values.choices is None else values.choices:
                check_params({name: value})
                check_value(known[name], value, f"sweep.space.{name}")
            if known[name] in found:
                raise ConfigError(
                    f"sweep.space: {name!r} is another name of LightGBM's {known[name]!r}, which is also there. Keep one."
                )
            when = {known.get(other, other): list(of) for other, of in (values.when or {}).items()}
            for other, of in when.items():
                for value in of:
                    check_params({other: value})
            found[known[name]] = values.model_copy(update={"when": when or None})
        return found

    def start(self) -> Mapping[str, Value]:
        """Return LightGBM's defaults."""
        return START

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return a tuned default, extremely randomised trees, few leaves and slow, many leaves with a strong L2 penalty."""
        return portfolio(task)

    def check_metrics(self, task: str, params: Mapping[str, Any]) -> None:
        """Refuse metrics that LightGBM does not have, or that say nothing of the task."""
        check_metrics(params.get("metric"), task)

    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Return the first metric that is asked for."""
        name = metric_names(spec.params.get("metric") or _METRICS[plan.task])[0]
        return name, is_higher_better(name)

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return LightGBM's parameters.

        Raises
        ------
        ConfigError
            `label_gain` leaves grades of the label without a gain, the objective is another task's, or early stopping does
            not go with the boosting.
        """
        params: dict[str, Any] = {
            "objective": _OBJECTIVE[plan.task],
            "metric": _METRICS[plan.task],
            "verbosity": -1,
        }
        if plan.task == "multiclass":
            params["num_class"] = len(plan.label.classes or [])
        if plan.task == "ranking" and "eval_at" not in spec.params:
            params["eval_at"] = [10]  # what evaluation looks at first; the first place alone is mostly noise
        if plan.linear_gain:
            params["label_gain"] = list(range(int(plan.label.maximum or 0) + 1))
        given = dict(chosen) | spec.params
        if any(float(given.get(name, 1.0)) < 1 for name in _FRACTIONS):
            params["bagging_freq"] = 1  # without it LightGBM accepts a bagging_fraction and ignores it
        params |= given
        params["metric"] = stopping_metrics(params["metric"], plan.task)
        if wanted := fits_task(params, plan.task):
            raise ConfigError(
                f"train.params.objective {params['objective']!r} does not go with task {plan.task!r} of label {plan.label.column!r}; leave it out, or use {' or '.join(map(repr, wanted))}."
            )
        if str(params.get("boosting")) == "dart" and spec.early_stopping:
            raise ConfigError(
                "train.params.boosting 'dart' changes earlier trees in later rounds, so that no best round can be cut out; set train.early_stopping: 0"
            )
        gains, most = label_gains(params), int(plan.label.maximum or 0)
        if plan.task == "ranking" and gains is not None and len(gains) <= most:
            raise ConfigError(
                f"train.params.label_gain has gains for the grades 0 to {len(gains) - 1}, and label {plan.label.column!r} has grades up to {most}. Give {most + 1} numbers, or leave it out."
            )
        return {"first_metric_only": True} | params

    def warnings(self, plan: FeaturePlan, spec: Settings) -> list[str]:
        """Say that a label far from zero loses its differences to float32 by an objective that takes no offset."""
        offset, params = label_offset(plan), self.params(plan, spec, {})
        if not offset or _takes_offset(params):
            return []
        objective = params["objective"]
        name = getattr(objective, "__name__", objective)
        return [
            f"label {plan.label.column!r} goes from {plan.label.minimum:.15g} to {plan.label.maximum:.15g}, where float32, in which LightGBM keeps labels, "
            f"takes different ones for equal, and objective {name!r} cannot be trained on differences. Take a constant off the label in the source, or train with one of {', '.join(TAKES_OFFSET)}."
        ]

    def fit(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        spec: Settings,
        chosen: Mapping[str, Any],
        rows: ParquetFiles,
        validation: ParquetFiles,
        *,
        on_progress: Callable[[Any], None] | None = None,
        checkpoint: str | None = None,
    ) -> LightGBMModel:
        """Train on `rows`, stopping early by `validation`."""
        from synml_dagster.learners.lightgbm.estimator import LightGBM

        names = set(rows.schema().names)
        params = self.params(plan, spec, chosen)
        estimator = LightGBM(
            params,
            rounds=spec.rounds,
            early_stopping=spec.early_stopping or None,
            ranks=spec.ranks,
            seed=spec.seed,
            label_offset=label_offset(plan) if _takes_offset(params) else 0.0,
            checkpoint=checkpoint,
        )
        return estimator.fit(
            rows,
            spark=spark,
            label=LABEL,
            features=plan.feature_names,
            weight=WEIGHT if WEIGHT in names else None,
            group=GROUP if GROUP in names else None,
            validation=validation,
            categorical=plan.categorical_features,
            on_progress=on_progress,
        )

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
    ) -> LightGBMModel:
        """Train in this process, stopping early by `validation`."""
        from synml_dagster.learners.lightgbm.in_memory import fit_rows

        params = self.params(plan, spec, chosen)
        if not {"metric", "first_metric_only"} & {*chosen, *spec.params}:
            params["metric"] = params["metric"][:1]  # the other decides nothing, and takes as long as a tree
        return fit_rows(
            params,
            train,
            validation,
            features=plan.feature_names,
            categorical=plan.categorical_features,
            rounds=spec.rounds,
            early_stopping=spec.early_stopping or None,
            seed=spec.seed,
            threads=threads,
            judge=judge,
            judged_by=self.metric(plan, spec)[0],
            label_offset=label_offset(plan) if _takes_offset(params) else 0.0,
        )

    def form(self, text: str) -> TreeEnsemble:
        """Return the trees of LightGBM's model text."""
        return parse_trees(text)


def _takes_offset(params: Mapping[str, Any]) -> bool:
    known = not callable(params.get("objective"))
    return known and objective_of(params) in TAKES_OFFSET and not root_of_labels(params)


LEARNER = LightGBMLearner()
