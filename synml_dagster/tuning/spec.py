"""The `sweep` part of a description."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from synml_dagster.errors import did_you_mean
from synml_dagster.features import FeatureChoices
from synml_dagster.learners import ParameterRange, learner_of
from synml_dagster.tuning.aims import Aims, Cost
from synml_dagster.tuning.pruners import check_pruner
from synml_dagster.tuning.samplers import SEVERAL, check_sampler


class SweepSpec(BaseModel):
    """How long and over what the sweep searches; 0 trials turn it off.

    Examples
    --------
    >>> SweepSpec(trials=50, learners=["lightgbm", "linear"]).learners
    ['lightgbm', 'linear']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(default=10, ge=0, description="How many trials a sweep has in all; 0 turns it off.")
    minutes: float = Field(
        default=10.0,
        gt=0,
        description="After this many minutes no trial starts, and those that run are stopped.",
    )
    learners: list[str] | Literal["all"] | None = Field(
        default=None,
        description="The families that are searched, the one whose defaults have to be beaten first; `all` takes "
        "every family that is installed, learns the task and trains in a task; pyspark.ml's have to be named. `train.learner` alone where absent.",
    )
    without: list[str] | None = Field(default=None, description="Families that `learners: all` leaves out.")
    rows: int = Field(
        default=200_000,
        ge=100,
        description="Trials of a larger training table see a sample of this many rows; the final model sees all.",
    )
    folds: int | None = Field(
        default=None,
        ge=0,
        description="Parts that trials are measured by in turn; 0 measures by the validation rows. Where absent, 5 "
        "below 20,000 training and validation rows (twice below 1,000), and the validation rows above.",
    )
    ensemble: int = Field(
        default=0,
        ge=0,
        le=20,
        description="The most trials that may answer together, as their weighted mean, where that is better than the best one by more than noise; 0 keeps to the best one.",
    )
    parallel: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Trials at a time; as many as Spark runs tasks, up to 16, where absent.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sampler; another seed starts another study.")
    sampler: str = Field(
        default="tpe",
        description="Who asks after the first candidates: tpe, random, qmc, cmaes, gp or nsgaii, each Optuna's.",
    )
    against: list[Cost] = Field(
        default_factory=list,
        description="Costs that quality is weighed against, kilobytes and milliseconds to score 1,000 rows: the search then looks for the whole front of what can be had. Nothing is stopped half-way.",
    )
    most_kilobytes: float | None = Field(
        default=None,
        gt=0,
        description="The most that the model's text may take; the best of those that do wins.",
    )
    most_milliseconds: float | None = Field(
        default=None,
        gt=0,
        description="The longest that 1,000 rows may take to score in one thread; the best of those that do wins.",
    )
    pruning: bool = Field(
        default=True,
        description="Stop trials of boosted trees half-way where they have fallen behind those that came that far.",
    )
    pruner: str = Field(
        default="median",
        description="Who says that a trial has fallen behind: median, percentile (the best quarter goes on), successive_halving or hyperband; all but the first are Optuna's.",
    )
    storage: str | None = Field(
        default=None,
        description="A database for the trials, such as postgresql+psycopg2://host/db; a SQLite file beside the data where absent.",
    )
    features: FeatureChoices | Literal["auto"] | None = Field(
        default=None,
        description="Ways to make features that are searched beside the described one; `auto` takes those that suit each learner, none where absent.",
    )
    space: dict[str, ParameterRange] | None = Field(
        default=None,
        description="Ranges by the learner's parameter names, in place of the defaults; with several learners the name follows the learner's: lightgbm.num_leaves. Parameters fixed in `train` are never searched.",
    )

    @field_validator("learners")
    @classmethod
    def _are_families(cls, learners: list[str] | str | None) -> list[str] | str | None:
        if isinstance(learners, list):
            if not learners:
                raise ValueError("name at least one learner, or leave it out")
            for name in learners:
                if not learner_of(name).tasks:
                    raise ValueError(f"{name!r} is put together and not trained: say sweep: {{ensemble: 8}}")
            if twice := sorted({name for name in learners if learners.count(name) > 1}):
                raise ValueError(f"{twice[0]!r} is named twice")
        return learners

    @field_validator("without")
    @classmethod
    def _are_left_out(cls, without: list[str] | None, info: ValidationInfo) -> list[str] | None:
        for name in without or ():
            learner_of(name)  # says which there are
        if without and info.data.get("learners") != "all":
            raise ValueError("without goes with learners: all; else leave the learner out of learners")
        return without

    @field_validator("ensemble")
    @classmethod
    def _no_ensemble_of_one(cls, most: int) -> int:
        if most == 1:
            raise ValueError("an ensemble has two members at least; 0 is none")
        return most

    @field_validator("folds")
    @classmethod
    def _not_one_fold(cls, folds: int | None) -> int | None:
        if folds == 1:
            raise ValueError("one fold holds out all rows; choose 2 or more, or 0 for the validation rows")
        return folds

    @field_validator("against")
    @classmethod
    def _each_cost_once(cls, against: list[Cost]) -> list[Cost]:
        if twice := [name for i, name in enumerate(against) if name in against[:i]]:
            raise ValueError(f"{twice[0]!r} is named twice")
        return against

    @field_validator("sampler")
    @classmethod
    def _is_a_sampler(cls, name: str) -> str:
        return check_sampler(name)

    @field_validator("pruner")
    @classmethod
    def _is_a_pruner(cls, name: str) -> str:
        return check_pruner(name)

    @field_validator("storage")
    @classmethod
    def _is_an_address(cls, storage: str | None) -> str | None:
        if storage is not None and "://" not in storage:
            raise ValueError("is no address of a database, such as postgresql+psycopg2://user@host/db")
        return storage

    @model_validator(mode="after")
    def _aims_go_together(self) -> SweepSpec:
        if self.against and self.pruning and "pruning" in self.model_fields_set:
            raise ValueError(
                "pruning does not go with against: a trial that falls behind in quality half-way may be the smallest or the quickest. Leave pruning out."
            )
        if "pruner" in self.model_fields_set and not self.prunes:
            raise ValueError("pruner says how trials are stopped half-way, and none is; leave it out")
        if self.sampler not in SEVERAL and self.against:
            raise ValueError(
                f"sampler {self.sampler!r} searches for one objective; with against choose one of {', '.join(SEVERAL)}"
            )
        return self

    @property
    def aims(self) -> Aims:
        """What quality is weighed against, and the limits."""
        return Aims(tuple(self.against), self.most_kilobytes, self.most_milliseconds)

    @property
    def prunes(self) -> bool:
        """Whether trials are stopped half-way: never where quality is not all."""
        return self.pruning and not self.against

    @model_validator(mode="after")
    def _ranges_of_named_learners(self) -> SweepSpec:
        several = self.learners == "all" or (self.learners is not None and len(self.learners) > 1)
        for name in self.space or {}:
            family = name.partition(".")[0]
            if several and "." not in name:
                raise ValueError(
                    f"space: whose is {name!r}? With several learners write lightgbm.{name}, say"
                )
            if several and self.learners == "all":
                learner_of(family)  # says which there are
            if family in (self.without or ()):
                raise ValueError(f"space: {name!r} is of learner {family!r}, which without leaves out")
            if several and self.learners != "all" and family not in (self.learners or []):
                raise ValueError(
                    f"space: {name!r} is of learner {family!r}, which is not among learners.{did_you_mean(family, self.learners or [])}"
                )
        return self
