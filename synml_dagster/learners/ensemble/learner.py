"""The family of ensembles, as far as it is one: what opens them and what people read of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import ConfigError
from synml_dagster.learners.base import Learner, TrainedModel
from synml_dagster.learners.ensemble.model import EnsembleModel, read_form
from synml_dagster.learners.form import MixtureForm

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.judging import Judge
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.learners.space import ParameterRange, Value


class EnsembleLearner(Learner):
    """Opens ensembles; a sweep makes them."""

    name: ClassVar[str] = "ensemble"
    title: ClassVar[str] = "An ensemble"
    kinds: ClassVar[frozenset[str]] = frozenset()
    summary: ClassVar[str] = "The weighted mean of models that a sweep has found."
    tasks: ClassVar[frozenset[str]] = frozenset()
    importance_name: ClassVar[str] = "importance over the members"
    model: ClassVar[type[TrainedModel]] = EnsembleModel

    def check(self, spec: Settings) -> None:
        """Refuse: it is not trained."""
        raise _not_trained()

    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse all: it is not trained."""
        raise _not_trained()

    def space(self) -> Mapping[str, ParameterRange]:
        """Return nothing: it is not searched."""
        return {}

    def start(self) -> Mapping[str, Value]:
        """Return nothing."""
        return {}

    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Refuse: it is not trained."""
        raise _not_trained()

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse: it is not trained."""
        raise _not_trained()

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
    ) -> TrainedModel:
        """Refuse: it is not trained."""
        raise _not_trained()

    def form(self, text: str) -> MixtureForm:
        """Return the members' forms."""
        return read_form(text)


def _not_trained() -> ConfigError:
    return ConfigError(
        "an ensemble is no learner to train: a sweep puts it together, with sweep: {ensemble: 8}"
    )


LEARNER = EnsembleLearner()
