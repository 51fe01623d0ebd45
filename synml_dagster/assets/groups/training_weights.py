"""`balance.reweigh`: weights of the sensitive columns' groups, learned on the training rows and carried by the features table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.balance import Reweighing, learn_reweighing
from synml_dagster.errors import ConfigError
from synml_dagster.features import BALANCE, LABEL, SPLIT, WEIGHT, FeaturePlan, assemble, labelled
from synml_dagster.learners import learner_of
from synml_dagster.tables import Table, read_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.checks import BalanceSpec

REWEIGHING = "_reweighing.json"
_CLASS, _GROUP = "__class", "__balance_group"


def check_reweighing(spec: BalanceSpec | None, plan: FeaturePlan, learners: Sequence[str]) -> None:
    """Refuse weights that nothing could be made of, before any feature is.

    Raises
    ------
    ConfigError
        The task has no classes, or a learner that may be trained cannot take weights.
    """
    asked = []
    if plan.weight is not None:
        asked.append(f"weight {plan.weight.name!r}")
    if spec is not None and spec.reweighed_columns:
        asked.append("balance.reweigh")
        if not plan.label.classes:
            raise ConfigError(
                f"balance.reweigh gives groups the same share of each class, and task {plan.task} has none; leave it out"
            )
        if plan.label.column in spec.reweighed_columns:
            raise ConfigError(f"balance.reweigh names {plan.label.column!r}, which is the label")
    unable = [name for name in learners if not learner_of(name).takes_weights]
    if asked and unable:
        raise ConfigError(
            f"{asked[-1]} gives rows weights, and learner {unable[0]} cannot take them. Leave the weights out, or name other learners in train.learner and sweep.learners."
        )


def reweighed_rows(raw: DataFrame, plan: FeaturePlan, spec: BalanceSpec) -> tuple[DataFrame, Reweighing]:
    """Return the rows of a features table whose weights balance groups and classes, and the weights.

    They are learned on the training rows, by shares of the weights that these have already. Training and validation rows
    take them: what stops a training and what a sweep chooses by looks at the same goal. Test rows weigh what they did.

    Raises
    ------
    ConfigError, DataError
        See `learn_reweighing`.
    """
    from pyspark.sql import functions as sf

    columns = spec.reweighed_columns
    classes: list[str] = plan.label.classes or []
    rows = labelled(raw, plan)
    word = _class_word(sf.col(LABEL), classes)
    found = learn_reweighing(
        rows.withColumn(_CLASS, word).where(sf.col(SPLIT) != "test"),
        columns,
        _CLASS,
        weight=WEIGHT if plan.weight is not None else None,
        training=sf.col(SPLIT) == "train",
        bins={c: spec.bins[c] for c in columns if c in spec.bins},
    )
    made = assemble(raw.withColumn(_GROUP, found.group_key(raw)), plan, keep=[_GROUP])
    factor = sf.when(sf.col(SPLIT) == "test", sf.lit(1.0)).otherwise(
        found.factor(sf.col(_GROUP), _class_word(sf.col(LABEL), classes))
    )
    own: Column = sf.col(WEIGHT) if plan.weight is not None else sf.lit(1.0)
    made = made.withColumn(BALANCE, factor).withColumn(WEIGHT, own * sf.col(BALANCE))
    return made.drop(_GROUP), found


def reweighing_of(features: Table) -> Reweighing | None:
    """Return the weights by group that a features table was made with, None where there are none."""
    if BALANCE not in features.columns:
        return None
    return Reweighing.model_validate_json(read_text(features, REWEIGHING))


def without_balance(rows: DataFrame, plan: FeaturePlan) -> DataFrame:
    """Return rows with the weights of the table alone: those that balance groups are for training, and nothing is measured by them."""
    from pyspark.sql import functions as sf

    if BALANCE not in rows.columns:
        return rows
    if plan.weight is None:
        return rows.drop(BALANCE, WEIGHT)
    return rows.withColumn(WEIGHT, sf.col(WEIGHT) / sf.col(BALANCE)).drop(BALANCE)


def _class_word(index: Column, classes: Sequence[str]) -> Column:
    from pyspark.sql import functions as sf

    return sf.element_at(sf.array(*map(sf.lit, classes)), index + sf.lit(1))
