"""One module per kind of column, each with its Spark and its ONNX compiler side by side."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from synml_dagster.features.kinds.base import FittedColumn
from synml_dagster.features.kinds.categorical import CategoricalColumn
from synml_dagster.features.kinds.datetime import DatetimeColumn
from synml_dagster.features.kinds.numeric import BooleanColumn, NumericColumn
from synml_dagster.features.kinds.several import SeveralColumn
from synml_dagster.features.kinds.text import TextColumn
from synml_dagster.features.kinds.vector import VectorColumn

AnyColumn = Annotated[
    NumericColumn
    | BooleanColumn
    | CategoricalColumn
    | DatetimeColumn
    | TextColumn
    | VectorColumn
    | SeveralColumn,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyColumn",
    "BooleanColumn",
    "CategoricalColumn",
    "DatetimeColumn",
    "FittedColumn",
    "NumericColumn",
    "SeveralColumn",
    "TextColumn",
    "VectorColumn",
]
