"""Which columns of a table may give features, and what is wrong with names in a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.columns import RawInput
from synml_dagster.columns.raw import Refused, raw_inputs
from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.features.names import RESERVED
from synml_dagster.features.plan import Dropped
from synml_dagster.features.spec import FeatureSpec, SplitSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXCLUDED = "excluded by the description"
"""Why a column that somebody wants left out is."""
NOT_INCLUDED = "not among features.include"
"""The same of one that is not among those that somebody wants."""


def leaves(df: DataFrame) -> tuple[list[RawInput], list[Refused]]:
    """Return the raw columns of a table, and those of types that no feature is made of.

    Raises
    ------
    DataError
        Two columns differ in case alone, or one has a reserved name.
    """
    names = df.columns
    folded: dict[str, str] = {}
    for column in names:
        if column in RESERVED:
            raise DataError(
                f"column {column!r}: this name is reserved for features tables; rename the column"
            )
        if (other := folded.setdefault(column.casefold(), column)) is not column or names.count(column) > 1:
            raise DataError(
                f"columns {other!r} and {column!r} have one name to Spark, which does not tell upper from lower case; rename one"
            )
    return raw_inputs(df.schema)


def check_names(
    features: FeatureSpec,
    split: SplitSpec,
    weight: str | None,
    group: str | None,
    inputs: list[RawInput],
    refused: list[str],
) -> None:
    """Refuse a description that names a column that is not there, with the names that are near."""
    known = [i.name for i in inputs]
    named = {
        c: where for c, where in features.named().items() if c not in refused or where == "features.exclude"
    }
    named |= {
        c: where for c, where in ((split.column, "split.column"), (weight, "weight"), (group, "group")) if c
    }
    tops = {i.path[0] for i in inputs} | set(refused)
    for column, where in named.items():
        whole_struct = column in tops and where in ("features.exclude", "features.include")
        if column not in known and not whole_struct:
            raise ConfigError(f"{where}: the table has no column {column!r}.{did_you_mean(column, known)}")


def candidates(
    features: FeatureSpec,
    inputs: list[RawInput],
    target: RawInput,
    weights: RawInput | None,
    groups: RawInput | None,
    split_group: RawInput | None,
    arrays: dict[str, tuple[int, int]],
    dropped: list[Dropped],
) -> list[RawInput]:
    """Return the columns that may give features; the others are added to `dropped` with the rule."""
    out = []
    for raw in inputs:
        reason = None
        if raw.name == target.name:
            continue
        if weights is not None and raw.name == weights.name:
            reason = "the weight column"
        elif groups is not None and raw.name == groups.name:
            reason = "the group column"
        elif split_group is not None and raw.name == split_group.name:
            reason = "the column that rows are split by"
        elif raw.name in features.exclude or raw.path[0] in features.exclude:
            reason = EXCLUDED
        elif features.include is not None and not {raw.name, raw.path[0]} & set(features.include):
            reason = NOT_INCLUDED
        elif raw.name in arrays:
            width = arrays[raw.name][1]
            override = features.overrides.get(raw.name)
            width = override.width if override and override.width else width
            if width == 0:
                reason = "empty: no row has a value"
            elif width > 4096:
                reason = f"an array of up to {width} values; name a smaller features.overrides.{raw.name}.width to use its first places"
            else:
                raw = raw.model_copy(update={"width": width})
        if not reason and not raw.name:
            raise DataError(
                "the table has a column without a name; give it one in the source, or exclude it by features.exclude: ['']"
            )
        if reason:
            dropped.append(Dropped(column=raw.name, reason=reason))
        else:
            out.append(raw)
    return out
