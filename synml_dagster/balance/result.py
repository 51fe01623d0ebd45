"""What balance and fairness are told as: typed results that save themselves as JSON and turn into tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synml_dagster.balance.reweighing import Reweighing
from synml_dagster.errors import ConfigError, ModelError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

Self = TypeVar("Self", bound="Result")


class Part(BaseModel):
    """A row of a result."""

    model_config = ConfigDict(extra="forbid")


class Result(BaseModel):
    """What a count by groups found, saved as one JSON file."""

    model_config = ConfigDict(extra="forbid")

    def tables(self) -> dict[str, list[Part]]:
        """Return the parts by the name of their table."""
        raise NotImplementedError

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return one table, a dictionary a row, the measures as columns of their own.

        Raises
        ------
        ConfigError
            There is no table of that name.
        """
        known = self.tables()
        if name not in known:
            raise ConfigError(
                f"{type(self).__name__} has no table {name!r}, but {', '.join(known)}.{did_you_mean(name, known)}"
            )
        return [_flat(part) for part in known[name]]

    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """Return one table as a data frame, the first one when `name` is None."""
        import pandas as pd

        return pd.DataFrame(self.table(name or next(iter(self.tables()))))

    def save(self, directory: str | Path) -> None:
        """Write one JSON file into `directory`, made if need be."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        (target / self._file()).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls: type[Self], directory: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            The file is absent or is no such result.
        """
        path = Path(directory) / cls._file()
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelError(f"{path} is not there: this directory holds no {cls.__name__}.") from error
        except ValidationError as error:
            raise ModelError(f"{path} is no {cls.__name__} that this version reads: {error}") from error

    @classmethod
    def _file(cls) -> str:
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_") + ".json"

    def __str__(self) -> str:
        return repr(self)


class GroupBalance(Part):
    """One group and one class of the label, or one group and a number's mean."""

    column: str
    group: str
    label: str | None = Field(default=None, description="The class; None for a number.")
    rows: int
    of_class: int | None = None
    mean: float | None = Field(default=None, description="Of the label, where it is a number.")
    deviation: float | None = None
    low: float | None = Field(default=None, description="95% interval of the class's share, or of the mean.")
    high: float | None = None
    measures: dict[str, float | None] = Field(default_factory=dict)
    reasons: dict[str, str] = Field(default_factory=dict, description="Why a measure is None.")


class PairBalance(Part):
    """Two groups of one column: each measure of a less that of b."""

    column: str
    group_a: str
    group_b: str
    label: str | None = None
    gaps: dict[str, float | None] = Field(default_factory=dict)
    t: float | None = Field(default=None, description="Welch's t of the two shares or means.")
    p_value: float | None = None
    reasons: dict[str, str] = Field(default_factory=dict)


class DistributionBalance(Part):
    """One column's shares against a reference."""

    column: str
    reference: str = Field(description="uniform or given.")
    groups: list[str]
    shares: list[float]
    expected: list[float]
    measures: dict[str, float | None]
    reasons: dict[str, str] = Field(default_factory=dict)


class AggregateBalance(Part):
    """How unequal in size the groups of all columns together are."""

    columns: list[str]
    cells: int = Field(description="Combinations that have rows.")
    empty: int = Field(description="Combinations of seen values that have none; the measures leave them out.")
    measures: dict[str, float]


class CellChange(Part):
    """How many rows of one group and class to add or to take, so that the group's share of the class is that of the others."""

    column: str
    group: str
    label: str
    rows: int
    expected: float = Field(description="Rows of the cell if group and class were independent.")
    add: int | None = Field(default=None, description="Rows of this group and class to add.")
    take: int | None = Field(default=None, description="Rows of this group and class to leave out.")
    gap_before: float = Field(
        description="Largest difference of the class's share between groups of the column."
    )
    gap_after: float


class DataBalance(Result):
    """How the rows of a table are spread over groups, and over the classes in each group.

    Tables: `groups`, `pairs`, `distributions`, `aggregate`, `changes`.
    """

    columns: list[str]
    rows: int
    unlabelled: int = 0
    task: str | None = Field(default=None, description="classes, regression, or None without a label.")
    label: str | None = None
    classes: list[str] = Field(default_factory=list)
    groups: list[GroupBalance] = Field(default_factory=list)
    pairs: list[PairBalance] = Field(default_factory=list)
    distributions: list[DistributionBalance] = Field(default_factory=list)
    aggregates: list[AggregateBalance] = Field(default_factory=list)
    changes: list[CellChange] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def tables(self) -> dict[str, list[Part]]:
        """Return the parts by the name of their table."""
        return {
            "groups": [*self.groups],
            "pairs": [*self.pairs],
            "distributions": [*self.distributions],
            "aggregate": [*self.aggregates],
            "changes": [*self.changes],
        }

    def largest(self, measure: str = "demographic_parity") -> PairBalance | None:
        """Return the pair of groups with the largest gap of a measure, None where no pair has one."""
        known = [p for p in self.pairs if p.gaps.get(measure) is not None]
        return max(known, key=lambda p: abs(p.gaps[measure] or 0.0), default=None)

    def __repr__(self) -> str:
        names = ", ".join(self.columns)
        worst = self.largest() or self.largest("mean")
        if worst is None:
            return f"DataBalance({self.rows:,} rows by {names})"
        name = "demographic_parity" if "demographic_parity" in worst.gaps else "mean"
        gap = abs(worst.gaps[name] or 0.0)
        return f"DataBalance({self.rows:,} rows by {names}; largest gap of {name} {gap:.4g}: {worst.column} {worst.group_a!r} and {worst.group_b!r})"


class Rate(Part):
    """A share of rows with its Wilson interval, or why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    of: int = Field(default=0, description="Rows that it is a share of.")
    reason: str | None = None


class CalibrationBin(Part):
    """Rows of one group whose probability is in one tenth."""

    rows: int
    predicted: float
    observed: float


class GroupRates(Part):
    """How a model does on one group, for one class against the rest; or, of numbers, its errors."""

    columns: list[str]
    group: list[str]
    label: str | None = None
    rows: int
    small: bool = Field(default=False, description="Fewer rows than the minimum: it is shown and not judged.")
    rates: dict[str, Rate] = Field(default_factory=dict)
    mean_probability: float | None = None
    calibration_error: float | None = Field(
        default=None, description="Mean distance of predicted and observed over tenths."
    )
    calibration: list[CalibrationBin] = Field(default_factory=list)
    errors: dict[str, float | None] = Field(
        default_factory=dict, description="Numbers: mean label, mean prediction, bias, mae, rmse."
    )

    @property
    def name(self) -> str:
        """The group in words."""
        return " & ".join(self.group)


class Disparity(Part):
    """How far the groups of one column, or of several together, are apart in one rate."""

    columns: list[str]
    label: str | None = None
    measure: str
    difference: float | None = Field(default=None, description="Largest less smallest.")
    low: float | None = Field(
        default=None, description="95% interval of the difference of those two groups (Newcombe)."
    )
    high: float | None = None
    ratio: float | None = Field(default=None, description="Smallest over largest.")
    largest: list[str] = Field(default_factory=list, description="The group of the largest rate.")
    smallest: list[str] = Field(default_factory=list)
    left_out: int = Field(default=0, description="Groups that are too small, or have no such rate.")
    reason: str | None = None


class Fairness(Result):
    """How a model's answers differ between groups.

    Tables: `groups`, `disparities`, `calibration`.
    """

    columns: list[str]
    rows: int
    task: str
    classes: list[str] = Field(default_factory=list)
    threshold: float | None = None
    minimum: int
    groups: list[GroupRates] = Field(default_factory=list)
    disparities: list[Disparity] = Field(default_factory=list)
    reweighing: Reweighing | None = Field(
        default=None,
        description="What training rows weighed, where the description asks for weights that balance.",
    )
    notes: list[str] = Field(default_factory=list)

    def tables(self) -> dict[str, list[Part]]:
        """Return the parts by the name of their table."""
        return {"groups": [*self.groups], "disparities": [*self.disparities]}

    def disparity(self, measure: str, *columns: str, label: str | None = None) -> Disparity:
        """Return one disparity.

        Raises
        ------
        ConfigError
            There is none of that measure and those columns.
        """
        for found in self.disparities:
            if found.measure == measure and found.columns == list(columns) and label in (None, found.label):
                return found
        known = sorted({d.measure for d in self.disparities})
        raise ConfigError(
            f"There is no disparity {measure!r} by {', '.join(columns)}; there are {', '.join(known)}.{did_you_mean(measure, known)}"
        )

    def __repr__(self) -> str:
        main = "demographic_parity" if self.task != "regression" else "mean_prediction"
        known = [d for d in self.disparities if d.measure == main and d.difference is not None]
        worst = max(known, key=lambda d: d.difference or 0.0, default=None)
        told = (
            ""
            if worst is None
            else f"; {main} differs by {worst.difference:.4g} by {' & '.join(worst.columns)}"
        )
        return f"Fairness({self.rows:,} rows by {', '.join(self.columns)}{told})"


def _flat(part: Part) -> dict[str, Any]:
    """One row of a table: measures as columns, rates with their interval, reasons in one text."""
    row: dict[str, Any] = {}
    for name, value in part.model_dump().items():
        if name in ("measures", "gaps", "errors"):
            row |= value
        elif name == "rates":
            for rate, told in value.items():
                row |= {rate: told["value"], f"{rate}_low": told["low"], f"{rate}_high": told["high"]}
                if told["reason"]:
                    row["reasons"] = "; ".join(
                        filter(None, [row.get("reasons"), f"{rate}: {told['reason']}"])
                    )
        elif name == "reasons":
            row[name] = "; ".join(f"{k}: {v}" for k, v in value.items()) or None
        elif name in ("columns", "group", "largest", "smallest") and isinstance(value, list):
            row[name] = " & ".join(value)
        elif name != "calibration":
            row[name] = value
    return row
