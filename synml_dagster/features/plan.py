"""The plan: the fitted recipe from raw columns to model inputs, as JSON that a person can read and diff."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synml_dagster.columns import RawInput
from synml_dagster.columns.raw import Storage
from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.features.choices import AS_DESCRIBED, KINDS, Choice, Option
from synml_dagster.features.kinds import AnyColumn, SeveralColumn
from synml_dagster.features.spec import SplitBy, SplitSpec, Task
from synml_dagster.features.splitting.split_limits import SplitLimits
from synml_dagster.features.stats import ColumnStats

PLAN_VERSION = 1
PLAN_FILE = "plan.json"
MAX_POWER_GRADE = 30
"""The last grade that LightGBM has a gain for."""


class LabelPlan(BaseModel):
    """The label column and, for classes, what each index stands for.

    Classes are in order: words by their characters, numbers by their value, false before true. In a binary task
    the second is the positive one.
    """

    model_config = ConfigDict(extra="forbid")

    column: str
    path: tuple[str, ...]
    storage: Storage
    spark_type: str
    classes: list[str] | None = None
    class_rows: list[int] | None = None
    dropped_null_rows: int = 0
    missing: tuple[str, ...] = Field(
        default=(), description="Words that stand for a missing label, such as NA or ?."
    )
    number_marks: tuple[str, str, str, bool] | None = Field(
        default=None,
        description="Of numbers for people: what stands before fractions, between thousands and beside the number, and whether brackets are a minus.",
    )
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None

    @property
    def raw(self) -> RawInput:
        """The label as the raw column that it is."""
        return RawInput(
            name=self.column,
            path=self.path,
            spark_type=self.spark_type,
            storage=self.storage,
            onnx_type="double",
            missing=self.missing,
            number_marks=self.number_marks,
        )


class SplitPlan(BaseModel):
    """Where the sides of a split begin.

    A row has a position: a hash of its content or of its group, in [0, 1), or its time as a number. Below `test`
    it is a test row, below `validation` a validation row, else a training row; by time it is the other way
    round: from `test` on test, from `validation` on validation, before it training. There is one pair, or one
    per class for a stratified split.
    """

    model_config = ConfigDict(extra="forbid")

    spec: SplitSpec
    by: SplitBy
    column: RawInput | None = None
    hashed: list[tuple[str, ...]] = Field(
        default_factory=list, description="The columns whose content decides, in this order."
    )
    test: list[float]
    validation: list[float]
    ordered: list[tuple[str, ...]] = Field(
        default_factory=list,
        description="Where equal rows are spread over the sides: the columns whose content numbers rows that are equal in `hashed`.",
    )

    @property
    def spread(self) -> bool:
        """Whether rows that are equal in `hashed` may be on several sides, because there are too few others."""
        return bool(self.ordered)

    def limits(self, classes: list[str] | None) -> SplitLimits:
        """Return the sides as they are told without Spark; `classes` are the label's."""
        return SplitLimits(self.by, self.test, self.validation, classes)


class Dropped(BaseModel):
    """A column that gives no feature, and the rule that says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    reason: str


class Alternative(BaseModel):
    """Another way to make features of columns, which a sweep may choose.

    Attributes
    ----------
    kind
        Of the columns that it is about.
    when
        What has to be chosen: `{"scale": "quantile"}`.
    columns
        In place of those of the same raw columns; where there is none of a raw column, that stays as it is described.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    when: dict[str, Option]
    columns: list[Annotated[AnyColumn, Field()]]


class FeaturePlan(BaseModel):
    """What `fit_plan` returns; see there.

    Examples
    --------
    >>> plan = FeaturePlan.load("bundle")  # doctest: +SKIP
    >>> plan.feature_names  # doctest: +SKIP
    ['age', 'workclass']
    """

    model_config = ConfigDict(extra="forbid")

    version: int = PLAN_VERSION
    name: str
    task: Task
    fingerprint: str
    rows: int
    label: LabelPlan
    weight: RawInput | None = None
    group: RawInput | None = None
    split: SplitPlan
    columns: list[Annotated[AnyColumn, Field()]]
    alternatives: list[Alternative] = Field(
        default_factory=list,
        description="Other ways to make features, which a sweep chooses from; empty once it has.",
    )
    dropped: list[Dropped]
    warnings: list[str]
    """What a person should look at before trusting the model."""
    notes: list[str] = Field(default_factory=list)
    """What is good to know and asks for nothing."""
    statistics: list[ColumnStats]

    @property
    def ways(self) -> list[AnyColumn]:
        """The columns, those of several ways one after the other."""
        found: list[AnyColumn] = []
        for column in self.columns:
            found += column.each if isinstance(column, SeveralColumn) else [column]
        return found

    @property
    def feature_names(self) -> list[str]:
        """The model's inputs, in order."""
        return [name for column in self.columns for name in column.features]

    @property
    def categorical_features(self) -> list[str]:
        """The features that LightGBM takes as categories."""
        return [name for column in self.columns for name in column.native_categorical]

    @property
    def raw_inputs(self) -> list[RawInput]:
        """The raw columns that features are made of, in order."""
        return [column.input for column in self.columns]

    @property
    def outside_onnx(self) -> dict[str, str]:
        """Columns whose features an exported graph takes ready made, with the reason."""
        return {c.name: reason for c in self.columns if (reason := c.outside_onnx)}

    @property
    def linear_gain(self) -> bool:
        """Whether a ranking's grades go above 30, where the gain of a grade is the grade and not a power of 2."""
        return self.task == "ranking" and (self.label.maximum or 0) > MAX_POWER_GRADE

    @property
    def keeps_place(self) -> bool:
        """Whether the features table says of each row where it stands by time or in which group: those of a split by queries have these."""
        return self.split.by in ("time", "group") and self.task != "ranking"

    @property
    def identity(self) -> str:
        """A digest of all that the plan says but its name and its words to people: what is made by it is known by this.

        `fingerprint` tells the rows that it was fitted on, whatever the label and the features are.
        """
        # No feature depends on a histogram, and plans of earlier versions have none.
        left_out: dict[str, Any] = {
            "name": True,
            "warnings": True,
            "notes": True,
            "statistics": {"__all__": {"histogram"}},
        }
        if not self.alternatives:
            left_out["alternatives"] = True
        told = self.model_dump(mode="json", exclude=left_out)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def most_features(self) -> int:
        """How many inputs a model has at most, whatever is chosen."""
        width = {column.name: len(column.features) for column in self.columns}
        for alternative in self.alternatives:
            for column in alternative.columns:
                width[column.name] = max(width[column.name], len(column.features))
        return sum(width.values())

    @property
    def choices(self) -> dict[str, list[Option]]:
        """What there is to choose about features, and its options, the described one first."""
        found: dict[str, list[Option]] = {}
        for alternative in self.alternatives:
            for name, option in alternative.when.items():
                options = found.setdefault(name, [AS_DESCRIBED])
                if option not in options:
                    options.append(option)
        return found

    def chosen(self, choice: Choice) -> FeaturePlan:
        """Return the plan that makes the features of a choice, and no others.

        Raises
        ------
        ConfigError
            The plan has no such option.
        """
        known = self.choices
        for name, option in choice.items():
            if option not in known.get(name, [AS_DESCRIBED]):
                raise ConfigError(
                    f"the features of plan {self.name!r} have no option {option!r} of {name!r}; there is {', '.join(map(str, known.get(name, [AS_DESCRIBED])))}."
                )
        taken = {n: o for n, o in choice.items() if o != AS_DESCRIBED}
        of_kind = {kind: {n: o for n, o in taken.items() if n in names} for kind, names in KINDS.items()}
        instead = {
            column.name: column
            for alternative in self.alternatives
            if alternative.when == of_kind[alternative.kind]
            for column in alternative.columns
        }
        columns = [instead.get(column.name, column) for column in self.columns]
        return self.model_copy(update={"columns": columns, "alternatives": []})

    def chosen_together(self, choices: Sequence[Choice]) -> FeaturePlan:
        """Return the plan that makes the features of several choices, each feature once; one choice is `chosen`.

        A raw column that the choices make in different ways is one column of several, in the order of the choices.

        Raises
        ------
        ConfigError
            The plan has no such option.
        """
        plans = [self.chosen(choice) for choice in choices]
        columns = []
        for same in zip(*(plan.columns for plan in plans), strict=True):
            ways = list({tuple(column.features): column for column in same}.values())
            columns.append(ways[0] if len(ways) == 1 else SeveralColumn.of(ways))
        return self.model_copy(update={"columns": columns, "alternatives": []})

    def with_all_parts(self) -> FeaturePlan:
        """Return the plan that makes the features of every choice, each once."""
        more = [column for alternative in self.alternatives for column in alternative.columns]
        return self.model_copy(update={"columns": [*self.columns, *more], "alternatives": []})

    def statistics_of(self, column: str) -> ColumnStats:
        """Return the figures of one raw column.

        Raises
        ------
        KeyError
            The plan has seen no such column.
        """
        return next(s for s in self.statistics if s.column == column)

    def to_json(self) -> str:
        """Return the plan as indented JSON, short lists on one line."""
        return _pretty(json.loads(self.model_dump_json())) + "\n"

    def save(self, directory: str | Path) -> None:
        """Write `plan.json` into `directory`, which is made where it is not there."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN_FILE).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> FeaturePlan:
        """Read `plan.json` of `directory`.

        Raises
        ------
        ModelError
            The file is not there, is damaged, or was written by a newer version.
        """
        file = Path(directory) / PLAN_FILE
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as problem:
            raise ModelError(f"plan: {str(file)!r} cannot be read: {problem.strerror}") from problem
        except UnicodeDecodeError as problem:
            raise ModelError(f"plan: {str(file)!r} is damaged: {problem}") from problem
        return cls.from_json(text, str(file))

    @classmethod
    def from_json(cls, text: str, where: str = "plan.json") -> FeaturePlan:
        """Read what `to_json` returned; `where` it was is named in errors.

        Raises
        ------
        ModelError
            It is damaged, or was written by a newer version.
        """
        try:
            version = json.loads(text).get("version")
        except (ValueError, AttributeError) as problem:
            raise ModelError(f"plan: {where!r} is damaged: {problem}") from problem
        if version != PLAN_VERSION:
            raise ModelError(
                f"plan: {where!r} is of version {version} and this package reads version {PLAN_VERSION}. Fit the plan again."
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ModelError(f"plan: {where!r} is damaged at {place}: {first['msg']}") from problem


def _pretty(value: Any, indent: int = 0) -> str:
    """JSON with one line per thing that a person thinks of as one: a short list, a small object."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (indent > 0 and len(flat) + indent <= 110):
        return flat
    pad, end = " " * (indent + 2), " " * indent
    if isinstance(value, dict):
        lines = [
            f"{pad}{json.dumps(k, ensure_ascii=False)}: {_pretty(v, indent + 2)}" for k, v in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + end + "}"
    lines = [pad + _pretty(v, indent + 2) for v in value]
    return "[\n" + ",\n".join(lines) + "\n" + end + "]"
