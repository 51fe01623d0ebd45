"""What a user may say about columns and splits; everything that is left out is guessed from the data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.columns import LABEL_MARKS

Task = Literal["binary", "multiclass", "regression", "ranking"]
Kind = Literal["numeric", "categorical", "boolean", "datetime", "text", "vector"]
Encoding = Literal["index", "onehot", "target", "frequency", "tfidf", "hashed"]
SplitBy = Literal["random", "stratified", "time", "group"]
Scale = Literal["standard", "minmax", "robust", "quantile"]
DatePart = Literal[
    "days",
    "age",
    "year",
    "quarter",
    "month",
    "day",
    "dayofweek",
    "dayofyear",
    "hour",
    "minute",
    "month_cycle",
    "dayofweek_cycle",
    "dayofyear_cycle",
    "hour_cycle",
]

MOST_WORDS = 3
"""The longest run of words that can be a feature of a text."""

ENCODINGS_BY_KIND: dict[str, tuple[str, ...]] = {
    "categorical": ("index", "onehot", "target", "frequency"),
    "text": ("tfidf", "hashed"),
}
_FIELDS_BY_KIND: dict[str, tuple[str, ...]] = {
    "numeric": ("impute", "indicator", "scale"),
    "vector": ("impute", "scale", "width"),
    "categorical": ("encoding", "max_categories", "rare_below", "smoothing"),
    "text": ("encoding", "width", "ngrams"),
    "datetime": ("parts", "time_zone", "reference", "written"),
    "boolean": ("impute", "indicator"),
}


class ColumnSpec(BaseModel):
    """How one column is to be read and encoded, where the guess is not what is wanted.

    Examples
    --------
    >>> ColumnSpec(kind="numeric", impute="median", scale="standard").impute
    'median'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = Field(default=None, description="Guessed when absent.")
    encoding: Encoding | None = Field(
        default=None,
        description="Categorical: index, onehot, target (out of fold) or frequency. Text: tfidf or hashed.",
    )
    impute: Literal["mean", "median"] | float | None = Field(
        default=None,
        description="What stands for a missing number; absent: it stays missing, as trees want it.",
    )
    indicator: bool = Field(
        default=False, description="Add a 0/1 column that says where the value was missing."
    )
    scale: Scale | None = Field(
        default=None, description="For learners that need it; trees do not. Fitted on training rows."
    )
    max_categories: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Categories with a code of their own; the rest share one."
    )
    rare_below: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Categories with fewer training rows than this share the code of the rare."
    )
    smoothing: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Target encoding: rows of prior that each category's mean is mixed with."
    )
    width: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="Text: features made. Vector: values in each row."
    )
    ngrams: Annotated[int, Field(ge=1, le=MOST_WORDS)] | None = Field(
        default=None, description="Text: runs of up to so many words are features too; 1 where absent."
    )
    parts: list[DatePart] | None = Field(
        default=None, description="Calendar parts to make of a date or time."
    )
    written: str | None = Field(
        default=None, description="How a date in text is written, as `d/M/yyyy` or `M/d/yyyy H:mm`."
    )
    time_zone: str | None = Field(
        default=None, description="Where the clock on the wall is read, as `Europe/Berlin`."
    )
    reference: str | None = Field(
        default=None, description="The day that `age` counts back from, as 2026-01-31."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ColumnSpec:
        if self.kind is None:
            return self
        allowed = _FIELDS_BY_KIND[self.kind]
        for name in self.model_fields_set - {"kind"}:
            if name not in allowed and getattr(self, name) not in (None, False):
                raise ValueError(
                    f"{name} does not go with kind {self.kind!r}, which takes {', '.join(allowed)}"
                )
        if self.encoding and self.encoding not in ENCODINGS_BY_KIND[self.kind]:
            raise ValueError(
                f"encoding {self.encoding!r} does not go with kind {self.kind!r}, which takes {', '.join(ENCODINGS_BY_KIND[self.kind])}"
            )
        return self


class FeatureSpec(BaseModel):
    """The `features` part of a description: which columns to use and what they are, each guessed when absent.

    Names are those of the table; a field of a struct is named by its path, as `address.city`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    include: list[str] | None = Field(default=None, description="Use these columns only.")
    exclude: list[str] = Field(default_factory=list, description="Never use these columns.")
    categorical: list[str] = Field(default_factory=list, description="Columns whose values are names.")
    numeric: list[str] = Field(default_factory=list, description="Columns whose values are numbers.")
    text: list[str] = Field(default_factory=list, description="Columns of sentences.")
    datetime: list[str] = Field(
        default_factory=list, description="Columns of dates and times, typed or as text."
    )
    missing: list[str] = Field(
        default_factory=lambda: list(LABEL_MARKS),
        description="Words that stand for a missing value in a label and in columns of names; leave out of this list what is a class or a category.",
    )
    max_categories: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="Categories with a code of their own, the most frequent first."
    )
    rare_below: Annotated[int, Field(ge=1)] = Field(
        default=2, description="Categories with fewer training rows than this share one code."
    )
    native_categories: Annotated[int, Field(ge=0)] = Field(
        default=256,
        description="Up to this many categories a column goes to LightGBM as a categorical, above as a number.",
    )
    time_zone: str = Field(default="UTC", description="Where calendar parts of timestamps are read.")
    impute: Literal["mean", "median"] | None = Field(
        default=None, description="What stands for a missing number, in columns without an override."
    )
    scale: Scale | None = Field(
        default=None, description="How numbers are scaled, in columns without an override."
    )
    encoding: Literal["index", "onehot", "target", "frequency"] | None = Field(
        default=None, description="How categories become numbers, in columns without an override."
    )
    text_width: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="How many words of a text are features, in columns without an override."
    )
    overrides: dict[str, ColumnSpec] = Field(
        default_factory=dict, description="Column by column, anything else."
    )

    @model_validator(mode="before")
    @classmethod
    def _none_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: v for k, v in value.items() if v is not None or k == "include"}

    @model_validator(mode="after")
    def _no_column_twice(self) -> FeatureSpec:
        said: dict[str, str] = {}
        for kind in ("categorical", "numeric", "text", "datetime"):
            for column in getattr(self, kind):
                if said.setdefault(column, kind) != kind:
                    raise ValueError(f"features: {column!r} is in both {said[column]} and {kind}; keep one")
        for column, spec in self.overrides.items():
            if spec.kind and said.setdefault(column, spec.kind) != spec.kind:
                raise ValueError(
                    f"features: {column!r} is in {said[column]} and its override says kind {spec.kind!r}; keep one"
                )
        for column in sorted(set(said) | set(self.include or [])):
            if column in self.exclude:
                raise ValueError(
                    f"features: {column!r} is excluded and also named in {said.get(column, 'include')}"
                )
        return self

    def declared(self) -> dict[str, Kind]:
        """Return the kind that the description gives, by column."""
        kinds: tuple[Kind, ...] = ("categorical", "numeric", "text", "datetime")
        out: dict[str, Kind] = {c: k for k in kinds for c in getattr(self, k)}
        return out | {c: o.kind for c, o in self.overrides.items() if o.kind}

    def own(self, column: str, kind: Kind) -> ColumnSpec:
        """Return what is said of a column of a kind: its override, and where that says nothing what is said of all columns."""
        said = self.overrides.get(column, ColumnSpec())
        of_all: dict[str, Any] = {}
        if kind == "numeric":
            of_all = {"impute": self.impute, "scale": self.scale}
        elif kind == "categorical":
            of_all = {"encoding": self.encoding}
        elif kind == "text":
            of_all = {"width": self.text_width}
        new = {k: v for k, v in of_all.items() if v is not None and k not in said.model_fields_set}
        return said.model_copy(update=new) if new else said

    def named(self) -> dict[str, str]:
        """Return every column that the description names, with the field that names it."""
        out = {c: f"features.overrides.{c}" for c in self.overrides}
        for field in ("include", "exclude", "categorical", "numeric", "text", "datetime"):
            out |= dict.fromkeys(getattr(self, field) or [], f"features.{field}")
        return out


class SplitSpec(BaseModel):
    """How rows are put on the training, validation and test side.

    Both fractions are of all rows with a label: 0.2 and 0.2 leave 0.6 for training. A row's side follows from
    its content without the label (or its group's, or its time), never from its place in the table, so it is the same
    however the table is partitioned. Rows with equal features are on one side, but where so few rows differ that no
    side could have its share: there they are spread, and the plan warns of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.2, description="Share of all rows held out.")
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.2, description="Share of all rows for early stopping and the sweep."
    )
    by: SplitBy = Field(
        default="random",
        description="time: the newest rows are the test side. group: a group is never on two sides.",
    )
    column: str | None = Field(default=None, description="The time or group column.")
    seed: int = Field(default=0, description="Another seed, another split.")

    @model_validator(mode="after")
    def _possible(self) -> SplitSpec:
        if self.test + self.validation >= 1:
            raise ValueError(
                f"split: test={self.test} and validation={self.validation} are shares of all rows and leave nothing to train on"
            )
        if self.by in ("time", "group") and not self.column:
            raise ValueError(f"split.by={self.by!r} needs split.column, the {self.by} column")
        if self.by in ("random", "stratified") and self.column:
            raise ValueError(
                f"split.column={self.column!r} goes with split.by 'time' or 'group', not with {self.by!r}"
            )
        return self
