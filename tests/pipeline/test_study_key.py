"""Trials of an earlier run count again where they looked at the same rows with the same weights."""

from __future__ import annotations

from synml_dagster.assets.groups.training_weights import REWEIGHING, reweighed_rows
from synml_dagster.assets.search import Search
from synml_dagster.checks import BalanceSpec
from synml_dagster.features import FeatureSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec
from synml_dagster.tables import Table, publish_table
from synml_dagster.testing.tables import awkward_table
from synml_dagster.tuning import SweepSpec
from synml_dagster.tuning.folds import FoldPlan


def test_trials_count_under_the_weights_that_they_had(classic_spark, tmp_path):
    raw = classic_spark.createDataFrame(awkward_table("binary")).fillna("?", subset=["city"])
    plan = fit_plan(raw, name="key", label="label", features=FeatureSpec(include=["amount", "age"]))

    def key(table: Table) -> dict[str, object]:
        return Search.of(plan, table, SweepSpec(), TrainSpec()).key(FoldPlan(5, 1, "five"))

    tables = {"plain": publish_table(assemble(raw, plan), str(tmp_path / "plain"))}
    for name, columns, bins in (
        ("by member", ["member"], {}),
        ("by member again", ["member"], {}),
        ("by age", ["age"], {"age": [40.0]}),
    ):
        made, found = reweighed_rows(raw, plan, BalanceSpec(columns=columns, reweigh=True, bins=bins))
        if name.endswith("again"):
            found = found.model_copy(update={"notes": ["said to people"]})
        texts = {REWEIGHING: found.model_dump_json() + "\n"}
        tables[name] = publish_table(made, str(tmp_path / name), texts=texts)
    keys = {name: key(table) for name, table in tables.items()}
    assert "reweighing" not in keys["plain"]
    assert keys["by member"]["reweighing"]["columns"] == ["member"]
    assert keys["by member"] == keys["by member again"]
    assert keys["by member"] != keys["by age"]
    assert {k: v for k, v in keys["by age"].items() if k != "reweighing"} == keys["plain"]
