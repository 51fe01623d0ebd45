"""The `automation.retrain_on` part of a description: what besides time and new rows asks for a retraining."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FailedCheckSpec(BaseModel):
    """A check of the pipeline whose failures ask for a retraining."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures: int = Field(
        default=1,
        ge=1,
        le=100,
        description="How many failures in a row ask for it; results of before the last training do not count.",
    )


class DriftTrigger(FailedCheckSpec):
    """When drift of the rows to score asks for a retraining."""

    importance: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="What the drifted columns' part of the model's importance must reach, where the model tells it: a "
        "column that moved and does not matter is no reason.",
    )


class AgeTrigger(BaseModel):
    """When the time since the last training asks for a retraining."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: float = Field(
        gt=0, description="The days since a challenger was last measured against the champion."
    )


class BrakesSpec(BaseModel):
    """What keeps a sensor from asking again and again.

    Examples
    --------
    >>> BrakesSpec(cool_down_hours=6).at_most is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cool_down_hours: float = Field(
        default=0.0,
        ge=0,
        description="The sensor asks for no run so soon after the last one of that job began, whoever asked for that.",
    )
    at_most: int | None = Field(
        default=None, ge=1, description="The most runs that the sensor asks for, no limit where absent ..."
    )
    within_days: float = Field(default=7.0, gt=0, description="... within so many days.")

    @model_validator(mode="after")
    def _budget_has_an_amount(self) -> BrakesSpec:
        if self.at_most is None and "within_days" in self.model_fields_set:
            raise ValueError(
                "automation.new_data.within_days says for how long at_most counts, and at_most is absent; name it, too, or neither"
            )
        return self


class RetrainOnSpec(BaseModel):
    """What asks for a retraining, and what keeps it from asking again and again.

    Examples
    --------
    >>> RetrainOnSpec(age={"days": 30}).at_most
    3
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    drift: DriftTrigger | None = Field(
        default=None, description="The check `drift` of the predictions failed; needs `drift`."
    )
    decay: FailedCheckSpec | None = Field(
        default=None, description="The check `decay` of the live evaluation failed; needs `live`."
    )
    age: AgeTrigger | None = Field(default=None, description="The last training is that long ago.")
    cool_down_hours: float = Field(
        default=24.0,
        ge=0,
        description="No sensor asks for a retraining so soon after the last one began, whoever asked for that.",
    )
    at_most: int = Field(
        default=3, ge=1, description="The most retrainings that these sensors ask for together ..."
    )
    within_days: float = Field(default=7.0, gt=0, description="... within so many days.")

    @classmethod
    def triggers(cls) -> list[str]:
        """Return what can ask, by the words of the sensors: the options that are off until they are named."""
        return [name for name, option in cls.model_fields.items() if option.default is None]

    @model_validator(mode="after")
    def _something_asks(self) -> RetrainOnSpec:
        if not any(getattr(self, name) for name in self.triggers()):
            raise ValueError(
                "automation.retrain_on names nothing that asks for a retraining; give it drift: {}, decay: {} or age: {days: 30}"
            )
        return self
