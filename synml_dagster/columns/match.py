"""Finds a plan's raw columns in another table, and refuses types that would lose what the plan relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.columns.convert import converted
from synml_dagster.columns.raw import RawInput, raw_inputs
from synml_dagster.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_RANK = {"boolean": 0, "tinyint": 1, "smallint": 2, "int": 3, "float": 3, "bigint": 4, "double": 5}


def matched(df: DataFrame, planned: list[RawInput]) -> list[RawInput]:
    """Return the columns of `df` that `planned` stands for, ready to give the values that the plan was fitted on.

    A type that every value of the table's own type fits into is accepted (int where the plan has double); one
    that could hold what the plan has never seen is refused (double where the plan has int).

    Raises
    ------
    DataError
        Columns are missing, or of another type; all of them are named.
    """
    out, others = _matched_or_not(df, planned)
    _refuse(others)
    return out


def matched_or_converted(
    df: DataFrame, planned: list[RawInput]
) -> tuple[list[RawInput], dict[str, tuple[Column, Column]]]:
    """Return what `matched` does, and by name the columns of other types: their values, and why a row has none.

    Raises
    ------
    DataError
        Columns are missing, or of a type whose values are never the plan's; all of them are named.
    """
    out, others = _matched_or_not(df, planned)
    found = {plan.name: converted(here, plan) for here, plan in others}
    _refuse([(here, plan) for here, plan in others if found[plan.name] is None])
    return out, {name: made for name, made in found.items() if made is not None}


def _matched_or_not(
    df: DataFrame, planned: list[RawInput]
) -> tuple[list[RawInput], list[tuple[RawInput, RawInput]]]:
    """Return all columns that `planned` stands for, and of those of another type the pair."""
    found = {i.path: i for i in raw_inputs(df.schema)[0]}
    _check_paths(found, df, [p.path for p in planned], "the plan")
    out = [
        found[plan.path].model_copy(
            update={"width": plan.width, "name": plan.name, "planned": plan.storage, "padded": plan.padded}
        )
        for plan in planned
    ]
    return out, [(here, plan) for here, plan in zip(out, planned, strict=True) if not _fits(here, plan)]


def _refuse(others: list[tuple[RawInput, RawInput]]) -> None:
    if others:
        wrong = [
            f"{plan.name!r} is {here.spark_type} where the plan has {plan.spark_type}"
            for here, plan in others
        ]
        raise DataError(
            "columns have changed their type: "
            + "; ".join(wrong)
            + ". Cast them in the source, or fit the plan again."
        )


def matched_paths(df: DataFrame, paths: list[tuple[str, ...]], what: str) -> None:
    """Refuse a table that lacks one of `paths`, which `what` needs."""
    found = {i.path: i for i in raw_inputs(df.schema)[0]}
    _check_paths(found, df, paths, what)


def _check_paths(found: dict, df: DataFrame, paths: list[tuple[str, ...]], what: str) -> None:
    absent = [".".join(p) for p in paths if p not in found]
    if absent:
        names = ", ".join(repr(a) for a in absent[:10]) + (" ..." if len(absent) > 10 else "")
        raise DataError(
            f"the table lacks {len(absent)} column{'s' * (len(absent) > 1)} that {what} needs: {names}.{did_you_mean(absent[0], ['.'.join(p) for p in found])}"
        )


def _fits(here: RawInput, plan: RawInput) -> bool:
    if here.spark_type == plan.spark_type or here.storage == plan.storage in ("string", "array", "vector"):
        return True
    numbers = ("number", "integer", "boolean")
    if plan.storage == "string":
        return here.storage in ("integer", "boolean")
    if plan.storage == "timestamp":
        return here.storage == "date"
    if plan.storage == "integer":
        return here.storage == "integer" and (plan.onnx_type == "double" or _rank(here) <= _rank(plan))
    if plan.storage == "number" and here.storage in numbers:
        return plan.onnx_type == "double" or _rank(here) <= 2
    return False


def _rank(raw: RawInput) -> int:
    return _RANK.get(raw.spark_type, 6)
