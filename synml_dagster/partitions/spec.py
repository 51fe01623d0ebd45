"""The `partitions` part of a description: everything is read and scored whole until it is named."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Every = Literal["hourly", "daily", "weekly", "monthly"]
"""The partitions of time."""
EVERY: tuple[Every, ...] = ("hourly", "daily", "weekly", "monthly")
CUT = "synml/partitions"
"""Metadata key under which `raw` remembers how its table was cut when a partition was read."""
_KINDS = (*EVERY, "static", "dynamic")
_LAST_START = 28
"""The last day that every month has."""
_BETWEEN = frozenset("|,[]")
"""What no key of two dimensions can have, because Dagster writes the pair by it."""


def time_zone(value: str) -> str:
    """Return the name of a time zone as it stands.

    Raises
    ------
    ValueError
        There is no such zone.
    """
    try:
        ZoneInfo(value)
    except Exception as problem:
        raise ValueError(f"{value!r} is not a time zone; use a name such as 'Europe/Berlin'") from problem
    return value


class _Kinds(BaseModel):
    """What says into which parts a column cuts the table: exactly one of the partitions of time, `static` and `dynamic`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    daily: date | None = Field(
        default=None, description="A partition a day, from this day on; the column holds a date or a time."
    )
    hourly: datetime | None = Field(
        default=None,
        description="A partition an hour, from this hour on (2026-01-01T00:00); the column holds a time.",
    )
    weekly: date | None = Field(
        default=None, description="A partition a week, each from the weekday of this first day on."
    )
    monthly: date | None = Field(
        default=None,
        description="A partition a month, each from the day of the month of this first day on, which is 1 to 28.",
    )
    end: date | None = Field(
        default=None,
        description="The last day; time goes on where it is absent. A week or a month that ends later is no partition.",
    )
    timezone: str = Field(default="UTC", description="Time zone of the clock that says when a day begins.")
    static: list[str] | None = Field(default=None, description="A partition for each of these values.")
    dynamic: str | None = Field(
        default=None, description="Name of Dagster's dynamic partitions; their keys are values of the column."
    )

    @field_validator("static", mode="before")
    @classmethod
    def _keys_as_text(cls, value: object) -> object:
        # YAML reads years and codes as numbers, and Dagster's keys are text.
        return (
            [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
            if isinstance(value, list)
            else value
        )

    @field_validator("static")
    @classmethod
    def _can_be_keys(cls, value: list[str] | None) -> list[str] | None:
        if value is None:
            return value
        if not value or len(set(value)) < len(value):
            raise ValueError("static needs one or more keys, each of them once")
        for key in value:
            if not key or "..." in key or not key.isprintable():
                raise ValueError(
                    f"static has {key!r}, which cannot be a partition: a key is not empty, and has no line break and no '...', by which Dagster writes ranges"
                )
        return value

    @field_validator("dynamic")
    @classmethod
    def _has_a_name(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("dynamic needs the name of Dagster's dynamic partitions")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        return time_zone(value)

    @property
    def every(self) -> Every | None:
        """How long a partition of time is; None where keys are no times."""
        return next((each for each in EVERY if getattr(self, each) is not None), None)

    @property
    def first(self) -> datetime | None:
        """When the first partition of time begins, by the clock of `timezone`."""
        start = getattr(self, self.every) if self.every else None
        if start is None:
            return None
        begin = start if isinstance(start, datetime) else datetime(start.year, start.month, start.day)
        return begin.replace(tzinfo=ZoneInfo(self.timezone))

    def _given(self) -> list[str]:
        return [kind for kind in _KINDS if getattr(self, kind) is not None]

    def _check_kind(self) -> None:
        if self.end and not self.every:
            raise ValueError(f"end goes with partitions of time: {', '.join(EVERY)}")
        if self.end and self.first and self.end < self.first.date():
            raise ValueError(f"end {self.end} is before the first day, {self.first.date()}")
        whole = self.weekly and self.weekly + timedelta(days=7)
        if self.monthly and self.monthly.day <= _LAST_START:
            month = self.monthly.year * 12 + self.monthly.month  # counted from 0: the next one
            whole = date(month // 12, month % 12 + 1, self.monthly.day)
        if self.end and whole and self.end + timedelta(days=1) < whole:
            raise ValueError(
                f"end {self.end} is before the first partition ends, with {whole - timedelta(days=1)}: there would be none"
            )
        if self.hourly and (
            self.hourly.tzinfo or self.hourly != self.hourly.replace(minute=0, second=0, microsecond=0)
        ):
            raise ValueError(
                "hourly is a full hour by the clock of `timezone`, without an offset: 2026-01-01T00:00"
            )
        if self.monthly and self.monthly.day > _LAST_START:
            raise ValueError(
                f"monthly begins on day {self.monthly.day}, which not every month has; take 1 to {_LAST_START}"
            )


class DimensionSpec(_Kinds):
    """One of the two columns by which `partitions.dimensions` cuts the table: what `partitions` says where there is one column.

    Examples
    --------
    >>> DimensionSpec(column="region", static=["north", "south"]).every is None
    True
    """

    column: str | None = Field(
        default=None,
        description="The column that says which partition a row belongs to; needed as that of `partitions` is.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> DimensionSpec:
        given = self._given()
        if len(given) != 1:
            raise ValueError(f"a dimension needs exactly one of {', '.join(_KINDS)}; it {_have(given)}")
        self._check_kind()
        for key in self.static or []:
            if _BETWEEN & set(key):
                raise ValueError(
                    f"static has {key!r}, and Dagster takes {' '.join(sorted(_BETWEEN))} in no key of two dimensions: it writes them as `{key}|...`. Make a column without them in the source."
                )
        return self


class PartitionsSpec(_Kinds):
    """How the table is cut into parts that are read and scored one by one; the model is trained on all of them.

    Examples
    --------
    >>> PartitionsSpec(column="day", daily="2026-01-01").daily
    datetime.date(2026, 1, 1)
    >>> PartitionsSpec(column="at", weekly="2026-01-05").every
    'weekly'
    >>> PartitionsSpec(column="country", static=["de", "fr"]).static
    ['de', 'fr']
    >>> day, region = {"column": "day", "daily": "2026-01-01"}, {"column": "region", "static": ["north", "south"]}
    >>> PartitionsSpec(dimensions={"day": day, "region": region}).of_time
    'day'
    >>> PartitionsSpec(dimensions={"day": day, "region": region}).cut
    'day daily, region static by region'
    """

    column: str | None = Field(
        default=None,
        description="The column that says which partition a row belongs to; needed unless there are `dimensions`, or `source.asset` has "
        "these partitions and each of them lies in a place of its own.",
    )
    dimensions: dict[str, DimensionSpec] | None = Field(
        default=None,
        description="Two columns in place of one, each under a name: a partition for each pair of their keys, such as a day of a region.",
    )
    window: int | None = Field(
        default=None,
        ge=1,
        description="How many of the newest partitions that were read the model is trained on, of `dimensions` how many of the one of time, with all keys of the other; all of them where absent.",
    )
    per_run: int | None = Field(
        default=None,
        ge=1,
        description="How many partitions a backfill, or the new-data sensor, puts into one run; all that follow each other where absent.",
    )

    @property
    def axes(self) -> dict[str, DimensionSpec]:
        """The columns that cut the table: `dimensions`, in the order in which Dagster writes their keys, or the one column under an empty name."""
        if self.dimensions is not None:
            return dict(sorted(self.dimensions.items()))
        told = {name: getattr(self, name) for name in _Kinds.model_fields}
        return {"": DimensionSpec.model_construct(column=self.column, **told)}

    @property
    def cut(self) -> str:
        """How the table is cut, in a few words: what two partitions have to have in common for their sizes to be compared."""
        each = {
            name: axis.every or f"{axis.dynamic or 'static'} by {axis.column or 'source'}"
            for name, axis in self.axes.items()
        }
        return ", ".join(f"{name} {how}".strip() for name, how in each.items())

    @property
    def has_columns(self) -> bool:
        """Whether columns say which partition a row belongs to; else each partition of the source lies in a place of its own."""
        return all(axis.column is not None for axis in self.axes.values())

    @property
    def of_time(self) -> str | None:
        """Which of the axes is one of time; None where none is."""
        return next((name for name, axis in self.axes.items() if axis.every), None)

    @model_validator(mode="after")
    def _one_kind(self) -> PartitionsSpec:
        given = self._given()
        if self.dimensions is None:
            if len(given) != 1:
                raise ValueError(
                    f"partitions needs exactly one of {', '.join(_KINDS)}, or dimensions; it {_have(given)}"
                )
            self._check_kind()
            return self
        aside = [n for n in ("column", *given, "end", "timezone") if n in self.model_fields_set]
        if aside:
            raise ValueError(
                f"partitions has dimensions and {' and '.join(aside)}; each dimension has its own, so put {'them' if aside[1:] else 'it'} there"
            )
        self._check_dimensions(self.dimensions)
        return self

    def _check_dimensions(self, dimensions: dict[str, DimensionSpec]) -> None:
        if len(dimensions) != 2:
            raise ValueError(
                f"partitions.dimensions has {len(dimensions)}, and Dagster's partitions have two dimensions, no more and no less"
                + (
                    ". Name one column by partitions.column"
                    if len(dimensions) < 2
                    else ". Make one column of two in the source"
                )
            )
        for name in dimensions:
            if not name.isidentifier() or not name.isascii():
                raise ValueError(
                    f"partitions.dimensions: {name!r} cannot name a dimension; use letters, digits and underscores, and begin with a letter"
                )
        first, second = dimensions.values()
        without = [name for name, axis in dimensions.items() if axis.column is None]
        if len(without) == 1:
            raise ValueError(
                f"partitions.dimensions.{without[0]}.column is missing; name it, or neither of the two where each pair of source.asset lies in a place of its own"
            )
        if first.column == second.column and first.column is not None:
            raise ValueError(
                f"partitions.dimensions names the column {first.column!r} twice; a pair of keys needs two"
            )
        if first.every and second.every:
            raise ValueError(
                f"partitions.dimensions has two of time, {first.every} and {second.every}; one of them has to be static or dynamic, or nothing tells which partitions are the newest"
            )
        if first.dynamic and first.dynamic == second.dynamic:
            raise ValueError(
                f"partitions.dimensions takes the keys of both from the dynamic partitions {first.dynamic!r}; give each its own"
            )
        if self.window and not (first.every or second.every):
            raise ValueError(
                "partitions.window is about the newest partitions, and no dimension is one of time; leave it out"
            )


def _have(given: list[str]) -> str:
    return f"has {' and '.join(given)}" if given else "has none of them"
