"""What a sweep may choose about features, beside what the description says of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.features.spec import FeatureSpec, Scale

AS_DESCRIBED = "as described"
"""The option that leaves a column as the description has it, or as it was guessed."""
MOST_ALTERNATIVES = 16
"""So many ways to make features of columns are held in a features table at most, beside the described one."""
KINDS: Mapping[str, tuple[str, ...]] = {
    "numeric": ("impute", "scale"),
    "categorical": ("encoding",),
    "text": ("text_width",),
}
"""By the kind of a column what can be chosen about it."""

Option = str | int
Choice = Mapping[str, Option]
"""An option by what is chosen; what it does not name is as described."""


class FeatureChoices(BaseModel):
    """What is tried beside what the description says, for all columns that it says nothing of in `features.overrides`.

    Examples
    --------
    >>> FeatureChoices(scale=["quantile"], encoding=["target"]).dimensions()
    {'scale': ['quantile'], 'encoding': ['target']}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    impute: list[Literal["mean", "median"]] = Field(
        default_factory=list, description="What stands for missing numbers."
    )
    scale: list[Scale] = Field(default_factory=list, description="How numbers are scaled.")
    encoding: list[Literal["index", "onehot", "target", "frequency"]] = Field(
        default_factory=list, description="How categories become numbers."
    )
    text_width: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default_factory=list, description="How many words of a text are features."
    )

    @field_validator("*")
    @classmethod
    def _once_each(cls, options: list[Any]) -> list[Any]:
        if twice := [o for o in options if options.count(o) > 1]:
            raise ValueError(f"{twice[0]!r} is named twice")
        return options

    @model_validator(mode="after")
    def _few(self) -> FeatureChoices:
        if (n := len(self.alternatives())) > MOST_ALTERNATIVES:
            raise ValueError(
                f"these are {n} ways to make features beside the described one, and a features table holds {MOST_ALTERNATIVES} at most: impute and scale multiply; name fewer of them"
            )
        return self

    def dimensions(self) -> dict[str, list[Option]]:
        """Return what there is to choose, and the options beside the described one."""
        return {name: list(getattr(self, name)) for name in type(self).model_fields if getattr(self, name)}

    def together(self, other: FeatureChoices) -> FeatureChoices:
        """Return the options of both."""
        return FeatureChoices(
            **{
                name: list(dict.fromkeys([*getattr(self, name), *getattr(other, name)]))
                for name in type(self).model_fields
            }
        )

    def alternatives(self) -> list[tuple[str, dict[str, Option]]]:
        """Return, by kind of column, each way to make features that is not the described one."""
        known, found = self.dimensions(), []
        for kind, names in KINDS.items():
            own = [n for n in names if n in known]
            for options in product(*([AS_DESCRIBED, *known[n]] for n in own)):
                when = {n: o for n, o in zip(own, options, strict=True) if o != AS_DESCRIBED}
                if when:
                    found.append((kind, when))
        return found


def described(features: FeatureSpec, when: Choice) -> FeatureSpec:
    """Return the description under a choice."""
    return features.model_copy(update=dict(when))


def tag_of(when: Choice) -> str:
    """Return a choice as the end of a feature's name."""
    return "_".join(str(option) for option in when.values())
