"""How the model's float32 inputs read in the raw table: category names for codes, dates for days, own units."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan

MISSING, OTHER = "(missing)", "(other)"


class FeatureReading(BaseModel):
    """How to read one feature's value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["number", "category", "date"] = "number"
    categories: tuple[str, ...] = ()
    """Names by code; a code beyond them stands for every other word."""
    center: float = 0.0
    spread: float = 1.0
    """The raw number is `value * spread + center`."""

    def number(self, value: float) -> float:
        """Return the value on the raw column's own scale."""
        return value * self.spread + self.center

    def text(self, value: float) -> str:
        """Return the value in a few characters."""
        if value != value:
            return MISSING
        if self.kind == "category":
            code = int(value)
            return self.categories[code] if 0 <= code < len(self.categories) else OTHER
        number = self.number(value)
        if self.kind == "date" and abs(number) < 2_900_000:  # date's own range
            return (
                (date(1970, 1, 1) + timedelta(days=int(number // 1))).isoformat()
                if number > -700_000
                else str(number)
            )
        return number_text(number)


def number_text(number: float) -> str:
    """Return a number as a table shows it: whole ones whole, others to five digits, with thousands marks."""
    if number == int(number) if abs(number) < 1e15 else False:
        return f"{int(number):,}"
    return f"{number:,.1f}" if abs(number) >= 1e4 else f"{number:.5g}"


def readings(plan: FeaturePlan) -> dict[str, FeatureReading]:
    """Return how the features of `plan` read, for those that are not plain numbers on their own scale."""
    found: dict[str, FeatureReading] = {}
    for column in plan.ways:
        if column.kind == "categorical" and column.encoding == "index":
            found[column.features[0]] = FeatureReading(kind="category", categories=tuple(column.words))
        elif column.kind == "numeric" and column.input.storage == "boolean":
            found[column.features[0]] = FeatureReading(kind="category", categories=("false", "true"))
        elif column.kind == "numeric" and column.scale is not None and column.scale.kind != "quantile":
            scale = column.scale
            found[column.features[0]] = FeatureReading(center=scale.center, spread=scale.spread)
        elif column.kind == "datetime":
            parts = [p for part in column.parts for p in ([part] * 2 if part.endswith("_cycle") else [part])]
            for feature, part in zip(column.features, parts, strict=True):
                if part == "days":
                    found[feature] = FeatureReading(kind="date", center=column.origin)
    return found
