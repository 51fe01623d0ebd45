"""The roles of a table's columns, before any row is read: label, weight, group, and what a row's place in the split hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.columns import RawInput
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features.compile.label import label_input
from synml_dagster.features.fitting.candidates import check_names, leaves
from synml_dagster.features.plan import Dropped, FeaturePlan, SplitPlan
from synml_dagster.features.profile.request import RowFacts
from synml_dagster.features.spec import FeatureSpec, SplitBy, SplitSpec
from synml_dagster.features.splitting.placing import placing_columns, taken_over

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Roles:
    """Which raw column is what.

    Attributes
    ----------
    inputs, refused
        All columns that can be read, and those that cannot with the reason.
    target, weight, group, split_column
        The label, and those that are named or None.
    by
        How rows are split, which a group may decide.
    placing
        The columns whose content says where a row stands.
    before
        The split of the plan before, where rows stay on its sides.
    warnings
        What was decided otherwise than the description says.
    """

    inputs: list[RawInput]
    refused: list[Dropped]
    target: RawInput
    weight: RawInput | None
    group: RawInput | None
    by: SplitBy
    split_column: RawInput | None
    placing: list[RawInput]
    before: SplitPlan | None
    warnings: tuple[str, ...] = ()

    def facts(self, seed: int) -> RowFacts:
        """Return what has to be told of each row."""
        others = [i for i in self.inputs if i.storage != "vector" and i not in self.placing]
        ordered = tuple(self.before.ordered) if self.before is not None else ()
        hashed = [*self.placing, *others]
        return RowFacts(
            self.target, self.weight, self.by, self.split_column, hashed, seed, self.placing, ordered
        )


def check_roles(
    df: DataFrame,
    *,
    label: str,
    features: FeatureSpec | None = None,
    split: SplitSpec | None = None,
    weight: str | None = None,
    group: str | None = None,
) -> None:
    """Refuse a table whose columns cannot have the roles that a description gives them; no row is read.

    Raises
    ------
    DataError, ConfigError
        What `fit_plan` raises of the table's schema: a column that is named is not there, or cannot have that role.
    """
    roles_of(df, label, features or FeatureSpec(), split or SplitSpec(), weight, group, None)


def roles_of(
    df: DataFrame,
    label: str,
    features: FeatureSpec,
    split: SplitSpec,
    weight: str | None,
    group: str | None,
    previous: FeaturePlan | None,
) -> Roles:
    """Return the roles that the description gives to the columns of `df`.

    Raises
    ------
    DataError, ConfigError
        A column that is named is not there, or cannot have that role.
    """
    inputs, refused = leaves(df)
    target = label_input(inputs, label, df.columns)
    if target.storage == "string":
        target = target.model_copy(update={"missing": tuple(features.missing)})
    check_names(features, split, weight, group, inputs, [r.column for r in refused])
    by_name = {i.name: i for i in inputs}
    weights = by_name[weight] if weight else None
    groups = by_name[group] if group else None
    if weights is not None and weights.storage not in ("number", "integer", "boolean"):
        raise DataError(
            f"weight {weights.name!r} is of type {weights.spark_type}; weights are numbers. Convert the column in the source."
        )
    by: SplitBy = split.by
    split_column = by_name[split.column] if split.column else None
    warnings = []
    if groups is not None and by in ("random", "stratified"):
        by, split_column = "group", groups
        if split.by == "stratified":
            warnings.append(
                f"split.by 'stratified' would cut groups; rows are split by the group column {group!r}"
            )
    untimed = ("string", "boolean", "array", "vector")
    if by == "time" and split_column is not None and split_column.storage in untimed:
        raise ConfigError(
            f"split.column {split_column.name!r} is of type {split_column.spark_type}; a split by time needs a date, a timestamp or a number"
        )
    before = taken_over(previous, label, split, by, inputs)
    placing = placing_columns(inputs, features, target, weights, before)
    dropped = [Dropped(column=r.column, reason=r.reason) for r in refused]
    return Roles(inputs, dropped, target, weights, groups, by, split_column, placing, before, tuple(warnings))
