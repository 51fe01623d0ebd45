"""Puts rows on the training, validation and test side by what they hold, never by where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.errors import DataError
from synml_dagster.features.names import SPLITS
from synml_dagster.features.plan import SplitPlan
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.spec import SplitBy, SplitSpec
from synml_dagster.features.splitting.row_hash import row_hash

if TYPE_CHECKING:
    from pyspark.sql import Column

FOLDS = 5
_FAR = 0.1


def position(
    by: str,
    hashed: list[tuple[str, ...]],
    column: RawInput | None,
    seed: int,
    ordered: list[tuple[str, ...]],
    word: Column,
) -> Column:
    """Return where a row stands, as float64: in [0, 1) by hash, or its time as a number (NaN where it has none).

    With `ordered` it is for a `select` over the whole table; `word` is the label as text.
    """
    from pyspark.sql import functions as sf

    if by == "time":
        assert column is not None
        return column.value()
    if by == "group" and column is not None:
        content = row_hash([column.path], seed)
    else:
        content = _content(hashed, seed, ordered, word)
    # A second round frees the position from the hash that chooses the sample; 53 bits fit a float64.
    return sf.shiftrightunsigned(sf.xxhash64(content, sf.lit(1)), 11).cast("double") / float(2**53)


def _content(
    hashed: list[tuple[str, ...]], seed: int, ordered: list[tuple[str, ...]], word: Column
) -> Column:
    """The hash that decides: of what features are made of, and with `ordered` of which of the equal rows it is."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    content = row_hash(hashed, seed)
    if not ordered:
        return content
    # Rows without a label are numbered apart, so that leaving them out before or after changes no number.
    equal = Window.partitionBy(content, word != "").orderBy(row_hash(ordered, seed))
    return sf.xxhash64(content, sf.row_number().over(equal))


def fold(split: SplitPlan, word: Column) -> Column:
    """Return a row's fold, 0 to FOLDS - 1, for encodings that must not see a row's own label; `word` is the label."""
    from pyspark.sql import functions as sf

    content = _content(split.hashed, split.spec.seed, split.ordered, word)
    return sf.pmod(sf.xxhash64(content, sf.lit(2)), sf.lit(FOLDS)).cast("int")


def stands(split: SplitPlan, word: Column) -> Column:
    """Return where a row stands in a split; see `position`."""
    return position(split.by, split.hashed, split.column, split.spec.seed, split.ordered, word)


def side(split: SplitPlan, class_index: Column | None, word: Column) -> Column:
    """Return "train", "validation" or "test" for each row; `word` is the label as text."""
    from pyspark.sql import functions as sf

    train, validation, test = (sf.lit(s) for s in SPLITS)
    place = stands(split, word)
    if len(split.test) == 1 or class_index is None:
        first, second = sf.lit(split.test[0]), sf.lit(split.validation[0])
    else:
        first, second = (
            sf.get(sf.array(*[sf.lit(v) for v in limits]), class_index)
            for limits in (split.test, split.validation)
        )
    if split.by == "time":
        known = ~sf.isnan(place)
        return (
            sf.when(known & (place >= first), test)
            .when(known & (place >= second), validation)
            .otherwise(train)
        )
    return sf.when(place < first, test).when(place < second, validation).otherwise(train)


def fit_split(
    spec: SplitSpec,
    by: SplitBy,
    column: RawInput | None,
    hashed: list[tuple[str, ...]],
    outline: Outline,
    classes: list[str] | None,
    exact: bool = True,
    ordered: list[tuple[str, ...]] | None = None,
) -> SplitPlan:
    """Return the split with its limits, exact where the table is small, to about 0.3 % of its rows where not.

    Without `exact` a random split's limits are the shares asked for, whatever its rows; a share is then right to a
    hundredth from 2,000 rows on.

    Raises
    ------
    DataError
        The time column has one value, or there are too few groups for the sides asked for.
    """
    if by == "stratified" and classes:
        pairs = [_class_limits(spec, outline, c) for c in classes]
    elif by == "time":
        pairs = [_time_limits(spec, outline, column)]
    elif by == "random" and (outline.sampled or not exact):
        pairs = [(spec.test, spec.test + spec.validation)]
    elif by == "group":
        _check_groups(spec, outline, column)
        pairs = [_group_limits(np.sort(outline.positions), spec)]
    else:
        pairs = [_limits(np.sort(outline.positions), spec)]
    return SplitPlan(
        spec=spec,
        by=by,
        column=column,
        hashed=hashed,
        ordered=ordered or [],
        test=[p[0] for p in pairs],
        validation=[p[1] for p in pairs],
    )


def _class_limits(spec: SplitSpec, outline: Outline, word: str) -> tuple[float, float]:
    places = outline.small_class(word)
    if places is None:
        return spec.test, spec.test + spec.validation
    return _limits(np.sort(np.array(places)), spec)


def _limits(places: np.ndarray, spec: SplitSpec) -> tuple[float, float]:
    """Cut sorted positions so that each side asked for has a row, wherever there are rows enough."""
    n = len(places)
    test = round(n * spec.test)
    validation = round(n * spec.validation)
    if n >= 2 and spec.test > 0:
        test = max(1, test)
    if n >= 3 and spec.validation > 0:
        validation = max(1, validation)
    validation = max(0, min(validation, n - test - 1))
    test = min(test, n - 1)
    return _between(places, test), _between(places, test + validation)


def _group_limits(places: np.ndarray, spec: SplitSpec) -> tuple[float, float]:
    """Cut between groups, which are runs of equal positions, as near to the shares as they allow; no side is empty."""
    groups, rows = np.unique(places, return_counts=True)
    below = np.concatenate([[0], np.cumsum(rows)])
    n = len(places)
    validated = int(spec.validation > 0)
    test = int(np.argmin(np.abs(below - n * spec.test))) if spec.test else 0
    test = min(max(test, int(spec.test > 0)), len(groups) - 1 - validated)
    until = int(np.argmin(np.abs(below - below[test] - n * spec.validation))) if validated else test
    until = min(max(until, test + validated), len(groups) - 1)
    return tuple(0.0 if k == 0 else float((groups[k - 1] + groups[k]) / 2) for k in (test, until))  # type: ignore[return-value]


def _between(places: np.ndarray, n: int) -> float:
    """A limit with n positions below it, or as near to that as equal positions allow."""
    if n <= 0:
        return 0.0
    if n >= len(places):
        return 1.0
    return float((places[n - 1] + places[n]) / 2) if places[n] > places[n - 1] else float(places[n])


def _time_limits(spec: SplitSpec, outline: Outline, column: RawInput | None) -> tuple[float, float]:
    assert column is not None
    times = np.sort(outline.positions[np.isfinite(outline.positions)])
    if not len(times):
        raise DataError(f"split.column {column.name!r} holds no time in any labelled row")
    if times[0] == times[-1]:
        raise DataError(
            f"split.column {column.name!r} has one value in all rows, so no row is older than another. Choose another column or split.by 'random'."
        )
    n, distinct = len(times), np.unique(times)
    oldest = (
        0 if outline.position_missing else 1
    )  # rows without a time are for training, else the oldest time is
    needed = oldest + (spec.test > 0) + (spec.validation > 0)
    if len(distinct) < needed and not outline.sampled:
        raise DataError(
            f"split.column {column.name!r} has {len(distinct)} values, and the sides need {needed}, since rows of one time are on one side. Choose a finer column or split.by 'random'."
        )

    def newest(share: float) -> int:
        """The place among the times at which the newest `share` of the rows begins."""
        if share <= 0:
            return len(distinct)
        return int(np.searchsorted(distinct, times[min(n - 1, max(0, n - max(1, round(n * share))))]))

    # Where many rows have one time the limits move, so that each side has a time of its own.
    test, validation = newest(spec.test), newest(spec.test + spec.validation)
    if spec.validation > 0:
        validation = max(min(validation, test - 1), oldest)
        test = max(test, validation + 1)
    else:
        test = validation = max(test, oldest)
    test_from, validation_from = (
        float(distinct[i]) if i < len(distinct) else 1e300 for i in (test, validation)
    )
    return test_from, validation_from


def far_from_shares(split: SplitPlan, outline: Outline) -> list[str]:
    """A warning where rows of one time or one group are so many that the sides are not what was asked for."""
    if split.by not in ("time", "group") or not len(outline.positions):
        return []
    places = outline.positions
    first, second = split.test[0], split.validation[0]
    if split.by == "time":
        test, validation = places >= first, (places >= second) & (places < first)
    else:
        test, validation = places < first, (places >= first) & (places < second)
    asked = (("test", test.mean(), split.spec.test), ("validation", validation.mean(), split.spec.validation))
    far = [
        f"{share:.0%} of the rows are on the {name} side, and {wanted:.0%} were asked for"
        for name, share, wanted in asked
        if abs(share - wanted) > _FAR
    ]
    what = f"rows of one {'time' if split.by == 'time' else 'group'} are on one side"
    return [f"split: {what}, so that {' and '.join(far)}"] if far else []


def _check_groups(spec: SplitSpec, outline: Outline, column: RawInput | None) -> None:
    needed = 1 + (spec.test > 0) + (spec.validation > 0)
    found = len(np.unique(outline.positions))
    if found < needed:
        raise DataError(
            f"split: column {column.name if column else ''!r} has {found} group{'s' * (found != 1)} and {needed} sides need at least {needed}, since no group is on two sides"
        )
