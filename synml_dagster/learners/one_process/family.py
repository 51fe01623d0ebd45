"""Families whose parameters are a table, and those of them that are trained in one process: what they say and check alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.errors import ConfigError
from synml_dagster.learners.base import Learner
from synml_dagster.learners.one_process.losses import METRIC
from synml_dagster.learners.one_process.parameters import Parameter, Parameters, checked, main_names
from synml_dagster.learners.one_process.rows import MOST_VALUES

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.space import ParameterRange

MAX_ROWS = Parameter(low=1, high=1e12, whole=True)
"""The most rows that a family takes into its process; a table of more is sampled."""


class TableLearner(Learner):
    """A family whose parameters are a table.

    Attributes
    ----------
    table
        Its parameters.
    defaults
        Those of them that it gives its library where nobody says otherwise.
    said_elsewhere
        Names of the library that another key of the description says, with that key; or why they cannot be set.
    """

    table: ClassVar[Parameters]
    defaults: ClassVar[Mapping[str, Any]]
    said_elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def checked_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse unknown parameters, values that one does not take, and what other keys say."""
        return checked(self.name, self.table, params, self.said_elsewhere)

    def checked_space(self, space: Mapping[str, ParameterRange]) -> dict[str, ParameterRange]:
        """Return ranges under main names; any parameter of the table can be searched.

        Raises
        ------
        ConfigError
            There is no such parameter, it does not take all of the range, or it is searched under two names.
        """
        known, found = main_names(self.table), dict[str, Any]()
        for name, values in space.items():
            ends = values.choices if values.choices is not None else [values.low, values.high]
            for end in ends:
                try:
                    self.checked_params({name: end})
                except ConfigError as problem:
                    raise ConfigError(f"sweep.space: {problem}") from problem
            if known[name] in found:
                raise ConfigError(
                    f"sweep.space: {name!r} is another name of {known[name]!r}, which is also there. Keep one."
                )
            found[known[name]] = values
        return found

    def metric(self, plan: FeaturePlan, spec: Settings) -> tuple[str, bool]:
        """Return the metric that trainings stop by and sweeps search by."""
        self.check_task(plan.task)
        return METRIC[plan.task], plan.task == "ranking"

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults, over them what was chosen, and over that what the description says."""
        self.check_task(plan.task)
        return {**self.defaults, **chosen, **spec.params}


class OneProcessLearner(TableLearner):
    """A family that is trained in one process; `max_rows` is among its parameters.

    Attributes
    ----------
    default_rows
        What `max_rows` is where nobody says it, and less for a wide table.
    """

    default_rows: ClassVar[int]

    def most_rows(self, plan: FeaturePlan, params: Mapping[str, Any]) -> int:
        """Return the most rows to read: `max_rows`, or the default one, which is less for a wide table."""
        said = params.get("max_rows")
        if said is not None:
            return int(said)
        return min(self.default_rows, max(1000, MOST_VALUES // max(1, len(plan.feature_names))))
