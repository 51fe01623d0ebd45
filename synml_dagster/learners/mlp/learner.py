"""Multilayer perceptrons as a learner family: smooth answers, which differ from those of trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.learners.mlp.model import PerceptronModel
from synml_dagster.learners.mlp.text import read_network
from synml_dagster.learners.one_process.family import MAX_ROWS, OneProcessLearner
from synml_dagster.learners.one_process.parameters import Parameter, Parameters
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from synml_dagster.features import FeatureChoices, FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.network import NetworkForm
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.space import Value

_TABLE: dict[str, Parameter] = {
    "max_rows": MAX_ROWS,
    "layers": Parameter(low=1, high=16, whole=True, aliases=("num_layers",)),
    "width": Parameter(low=1, high=8192, whole=True, aliases=("hidden_size",)),
    "dropout": Parameter(low=0, high=0.95),
    "learning_rate": Parameter(low=0, high=1, above=True, aliases=("lr", "learning_rate_init")),
    "weight_decay": Parameter(low=0, high=100),
    "batch_size": Parameter(low=1, high=1_000_000, whole=True),
}
_DEFAULTS: dict[str, Any] = {
    "layers": 2,
    "width": 128,
    "dropout": 0.1,
    "learning_rate": 2e-3,
    "weight_decay": 1e-3,
    "batch_size": 256,
}
# TabArena's ranges (Erickson et al. 2025, packages/tabarena), the width cut for processors.
_SPACE: dict[str, ParameterRange] = {
    "layers": ParameterRange(low=1, high=4),
    "width": ParameterRange(low=32, high=512, log=True),
    "dropout": ParameterRange(low=0.0, high=0.5),
    "learning_rate": ParameterRange(low=1e-4, high=1e-2, log=True),
    "weight_decay": ParameterRange(low=1e-6, high=1e-1, log=True),
    "batch_size": ParameterRange(low=128, high=1024, log=True),
}


class PerceptronLearner(OneProcessLearner):
    """Layers of rectified units on standardised columns, trained by Adam."""

    name: ClassVar[str] = "mlp"
    title: ClassVar[str] = "A multilayer perceptron"
    kinds: ClassVar[frozenset[str]] = frozenset({"numpy"})
    summary: ClassVar[str] = (
        "A multilayer perceptron, trained in one process with early stopping on the validation rows."
    )
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass", "regression"})
    refits: ClassVar[bool] = False
    no_such_keys: ClassVar[Mapping[str, str]] = {"ranks": "it is trained in one process"}
    said_elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("epochs", "max_iter"), "is said by train.rounds, not by train.params"),
        "hidden_layer_sizes": "is said by layers and width",
        **dict.fromkeys(("random_state", "seed"), "is said by train.seed, not by train.params"),
    }
    round_name: ClassVar[str] = "epoch"
    importance_name: ClassVar[str] = "loss that shuffling it adds on validation rows"
    precedence: ClassVar[int] = 60
    model: ClassVar[type[TrainedModel]] = PerceptronModel
    table: ClassVar[Parameters] = _TABLE
    defaults: ClassVar[Mapping[str, Any]] = _DEFAULTS
    default_rows: ClassVar[int] = 500_000

    def space(self) -> Mapping[str, ParameterRange]:
        """Return TabArena's ranges."""
        return _SPACE

    def start(self) -> Mapping[str, Value]:
        """Return the defaults."""
        return {name: self.defaults[name] for name in _SPACE}

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return a wider network that forgets more, and a small one."""
        return {
            "wide": {"layers": 3, "width": 256, "dropout": 0.3, "learning_rate": 1e-3},
            "small": {"layers": 1, "width": 64, "dropout": 0.0, "learning_rate": 5e-3, "weight_decay": 1e-2},
        }

    def feature_choices(self) -> FeatureChoices:
        """Return ranks in place of numbers, means of the label in place of a column for each category, more words."""
        from synml_dagster.features import FeatureChoices

        return FeatureChoices(scale=["quantile"], encoding=["target"], text_width=[256])

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
    ) -> PerceptronModel:
        """Train in this process; `facts["notes"]` says what of the table was left out."""
        from synml_dagster.learners.mlp.training import train as train_rows

        params = self.params(plan, spec, chosen)
        return train_rows(plan, spec, params, train, validation, on_progress=on_progress)

    def form(self, text: str) -> NetworkForm:
        """Return the layers of a network's text."""
        return read_network(text)


LEARNER = PerceptronLearner()
