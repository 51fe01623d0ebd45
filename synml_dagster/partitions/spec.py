"""The `partitions` part of a description: everything is read and scored whole until it is named."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Every = Literal["hourly", "daily", "weekly", "monthly"]
"""The partitions of time."""
EVERY: tuple[Every, ...] = ("hourly", "daily", "weekly", "monthly")
_LAST_START = 28
"""The last day that every month has."""


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


class PartitionsSpec(BaseModel):
    """How the table is cut into parts that are read and scored one by one; the model is trained on all of them.

    Examples
    --------
    >>> PartitionsSpec(column="day", daily="2026-01-01").daily
    datetime.date(2026, 1, 1)
    >>> PartitionsSpec(column="at", weekly="2026-01-05").every
    'weekly'
    >>> PartitionsSpec(column="country", static=["de", "fr"]).static
    ['de', 'fr']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="The column that says which partition a row belongs to.")
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
    window: int | None = Field(
        default=None,
        ge=1,
        description="How many of the newest partitions that were read the model is trained on; all of them where absent.",
    )
    per_run: int | None = Field(
        default=None,
        ge=1,
        description="How many partitions a backfill puts into one run; all that follow each other where absent.",
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

    @model_validator(mode="after")
    def _one_kind(self) -> PartitionsSpec:
        kinds = (*EVERY, "static", "dynamic")
        given = [k for k in kinds if getattr(self, k) is not None]
        if len(given) != 1:
            have = f"has {' and '.join(given)}" if given else "has none of them"
            raise ValueError(f"partitions needs exactly one of {', '.join(kinds)}; it {have}")
        if self.end and not self.every:
            raise ValueError(f"partitions.end goes with partitions of time: {', '.join(EVERY)}")
        if self.end and self.first and self.end < self.first.date():
            raise ValueError(f"partitions.end {self.end} is before the first day, {self.first.date()}")
        whole = self.weekly and self.weekly + timedelta(days=7)
        if self.monthly and self.monthly.day <= _LAST_START:
            month = self.monthly.year * 12 + self.monthly.month  # counted from 0: the next one
            whole = date(month // 12, month % 12 + 1, self.monthly.day)
        if self.end and whole and self.end + timedelta(days=1) < whole:
            raise ValueError(
                f"partitions.end {self.end} is before the first partition ends, with {whole - timedelta(days=1)}: there would be none"
            )
        if self.hourly and (
            self.hourly.tzinfo or self.hourly != self.hourly.replace(minute=0, second=0, microsecond=0)
        ):
            raise ValueError(
                "partitions.hourly is a full hour by the clock of partitions.timezone, without an offset: 2026-01-01T00:00"
            )
        if self.monthly and self.monthly.day > _LAST_START:
            raise ValueError(
                f"partitions.monthly begins on day {self.monthly.day}, which not every month has; take 1 to {_LAST_START}"
            )
        if self.static is not None and (not self.static or len(set(self.static)) < len(self.static)):
            raise ValueError("partitions.static needs one or more keys, each of them once")
        return self
