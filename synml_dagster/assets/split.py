"""The parts of a features table that stages take: one side of its split, with rows and with weights that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.errors import DataError
from synml_dagster.features import SPLIT, WEIGHT, FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def side(features: Table, name: str) -> ParquetFiles:
    """Return the files of one side of the split.

    Raises
    ------
    DataError
        That side has no row.
    """
    files = features.files(**{SPLIT: name})
    if not files.paths:
        raise DataError(
            f"no row of the table is on the {name} side of the split; the table is too small for it. "
            f"Raise split.{name if name != 'train' else 'test and split.validation; lower them'}, or bring more rows."
        )
    return files


def check_weights(spark: SparkSession, plan: FeaturePlan, features: Table) -> None:
    """Refuse a side of the split on which no row has a weight, before anything is trained.

    Raises
    ------
    DataError
        All weights of a side are 0.
    """
    from pyspark.sql import functions as sf

    if plan.weight is None:
        return
    greatest = features.dataframe(spark).groupBy(SPLIT).agg(sf.max(WEIGHT).alias("weight")).collect()
    if empty := sorted(row[SPLIT] for row in greatest if not row["weight"]):
        raise DataError(
            f"weight {plan.weight.name!r} is 0 in all rows of the {empty[0]} side of the split, and nothing can be learned or measured there. "
            "Give those rows weights, leave the weight out, or choose another split."
        )
