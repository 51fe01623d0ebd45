"""The `automation` part of a description: everything is off until it is named."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.automation.retrain_spec import BrakesSpec, RetrainOnSpec
from synml_dagster.partitions.spec import time_zone


class FollowSpec(BaseModel):
    """What predictions follow by Dagster's declarative automation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    champion: bool = Field(
        default=False,
        description="Score again when another version has become the champion, by a training or by hand.",
    )
    partitions: bool = Field(
        default=False,
        description="Read a partition once it is there, of days the last one that is over, and score rows that were read; needs `partitions`.",
    )

    @property
    def any(self) -> bool:
        """Whether anything is followed."""
        return self.champion or self.partitions


class AutomationSpec(BaseModel):
    """When a pipeline scores and retrains by itself.

    Examples
    --------
    >>> AutomationSpec(score="0 6 * * *", on_new_data="retrain").score
    '0 6 * * *'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: str | None = Field(
        default=None, description="Cron expression: score with the champion at these times."
    )
    retrain: str | None = Field(
        default=None, description="Cron expression: run the whole pipeline at these times."
    )
    timezone: str = Field(default="UTC", description="Time zone of the cron expressions.")
    on_new_data: Literal["score", "retrain"] | None = Field(
        default=None, description="What to do when the source has changed."
    )
    new_data: BrakesSpec = Field(
        default_factory=BrakesSpec,
        description="What keeps `on_new_data` from asking too often; what changes meanwhile is asked for later, at once.",
    )
    on_new_labels: bool = Field(
        default=False,
        description="Whether the live evaluation is made when the source of labels has changed; needs `live`.",
    )
    retrain_on: RetrainOnSpec | None = Field(
        default=None, description="What else asks for a retraining: drift, decay of the metric, age."
    )
    follow: FollowSpec = Field(
        default_factory=FollowSpec,
        description="Conditions on `raw` and `predictions` by which Dagster materializes them by itself.",
    )
    fresh_hours: float | None = Field(
        default=None,
        gt=0,
        description="Predictions older than this are shown as not fresh, by a freshness policy of Dagster; none where absent.",
    )
    read_again: int = Field(
        default=1,
        ge=1,
        description="How many of the newest partitions of time a retraining reads anew, such as days: labels that have come since a day was "
        "read are only then learnt from.",
    )
    every_seconds: int = Field(default=60, ge=5, description="How often each sensor looks.")
    running: bool = Field(
        default=False,
        description="Whether schedules and sensors run from the start; else somebody turns them on in the UI.",
    )
    settle_seconds: int = Field(
        default=30,
        ge=0,
        description="The sensor waits until no file of the source has changed for this long, so that none is read while "
        "it is being written.",
    )
    wait_for_success: bool = Field(
        default=False,
        description="The sensor also waits for a file _SUCCESS in the source's folder that is as new as its files.",
    )
    minimum_rows: int | None = Field(
        default=None,
        ge=1,
        description="The fewest rows that the source must have; a run that reads fewer ends before it trains or scores.",
    )

    @field_validator("on_new_data", mode="before")
    @classmethod
    def _off_is_none(cls, value: object) -> object:
        # YAML reads a bare `off` as false; a person means the same by both.
        return None if value in (False, "off") else value

    @field_validator("score", "retrain")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None:
            import dagster as dg
            from dagster import DagsterInvalidDefinitionError

            try:
                dg.ScheduleDefinition(name="probe", cron_schedule=value, job_name="probe")
            except DagsterInvalidDefinitionError as problem:
                raise ValueError(
                    f"{value!r} is not a cron expression; five fields say minute, hour, day, month and weekday, "
                    "for example '0 6 * * 1-5'"
                ) from problem
        return value

    @model_validator(mode="after")
    def _brakes_hold_something(self) -> AutomationSpec:
        if self.on_new_data is None and self.new_data != BrakesSpec():
            raise ValueError(
                "automation.new_data holds back what automation.on_new_data asks for, which the description does not have; add on_new_data: score, or retrain"
            )
        return self

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        return time_zone(value)
