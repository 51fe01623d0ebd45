"""The `partitions` part of a description: everything is read and scored whole until it is named."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


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
    >>> PartitionsSpec(column="country", static=["de", "fr"]).static
    ['de', 'fr']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="The column that says which partition a row belongs to.")
    daily: date | None = Field(
        default=None, description="A partition a day, from this day on; the column holds a date or a time."
    )
    end: date | None = Field(default=None, description="The last day; days go on where it is absent.")
    timezone: str = Field(default="UTC", description="Time zone in which a day of a time begins.")
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

    @model_validator(mode="after")
    def _one_kind(self) -> PartitionsSpec:
        given = [k for k in ("daily", "static", "dynamic") if getattr(self, k) is not None]
        if len(given) != 1:
            have = f"has {' and '.join(given)}" if given else "has none of them"
            raise ValueError(f"partitions needs exactly one of daily, static and dynamic; it {have}")
        if self.end and not self.daily:
            raise ValueError("partitions.end goes with partitions.daily")
        if self.end and self.daily and self.end < self.daily:
            raise ValueError(f"partitions.end {self.end} is before the first day, {self.daily}")
        if self.static is not None and (not self.static or len(set(self.static)) < len(self.static)):
            raise ValueError("partitions.static needs one or more keys, each of them once")
        return self
