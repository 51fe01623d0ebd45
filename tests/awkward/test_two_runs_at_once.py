"""What a run reads while another run of the same assets goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from synml_dagster.io_managers import BundleIOManager, SparkTableIOManager
from synml_dagster.resources import SparkResource
from synml_dagster.tables import Table


class Word:
    """A bundle of one word."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, directory: str) -> None:
        (Path(directory) / "word.json").write_text(json.dumps(self.text))

    @classmethod
    def load(cls, directory: str) -> "Word":
        return cls(json.loads((Path(directory) / "word.json").read_text()))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def bundles(folder, instance, assets, **more):
    manager = BundleIOManager(data_dir=str(folder), keep=2)
    return dg.materialize(
        assets, resources={"io_manager": manager}, instance=instance, raise_on_error=False, **more
    )


def message(result) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return event.step_failure_data.error.to_string()


def of_words(folder, instance, others, partitions=None):
    """A plan, a step during which `others` further runs publish theirs, and what the run reads after that."""
    seen: dict[str, str] = {}

    @dg.asset(partitions_def=partitions)
    def plan(context: dg.AssetExecutionContext) -> Word:
        return Word(context.run.run_id)

    @dg.asset(deps=[plan], partitions_def=partitions)
    def meanwhile(context: dg.AssetExecutionContext) -> Word:
        key = {"partition_key": context.partition_key} if partitions else {}
        assert all(bundles(folder, instance, [plan], **key).success for _ in range(others))
        return Word("other runs are over")

    @dg.asset(deps=[meanwhile], partitions_def=partitions)
    def after(plan: Word) -> Word:
        seen["read"] = plan.text
        return plan

    return [plan, meanwhile, after], seen


@pytest.mark.parametrize("partitions", [None, dg.StaticPartitionsDefinition(["a", "b"])])
def test_a_run_reads_its_own_bundle_and_not_that_of_another_run(tmp_path, instance, partitions):
    assets, seen = of_words(tmp_path, instance, 1, partitions)
    key = {"partition_key": "a"} if partitions else {}
    result = bundles(tmp_path, instance, assets, **key)
    assert result.success, message(result)
    assert seen["read"] == result.run_id
    # A later run of that one asset reads what is current, as before.
    later = bundles(tmp_path, instance, assets, selection=[assets[2]], **key)
    assert later.success
    assert seen["read"] != result.run_id


def stopping_job():
    """The job of a plan, another run's plan and a step that fails where the environment says so; made anew by Dagster."""

    @dg.asset
    def plan(context: dg.AssetExecutionContext) -> Word:
        return Word(context.run.run_id)

    @dg.asset(deps=[plan])
    def meanwhile(context: dg.AssetExecutionContext) -> None:
        assert bundles(os.environ["FOLDER"], context.instance, [plan]).success

    @dg.asset(deps=[meanwhile])
    def after(plan: Word) -> Word:
        if os.environ.get("STOP"):
            raise RuntimeError("stopped")
        return plan

    resources = {"io_manager": BundleIOManager(data_dir=os.environ["FOLDER"], keep=3)}
    definitions = dg.Definitions(
        [plan, meanwhile, after],
        resources=resources,
        executor=dg.in_process_executor,
        jobs=[dg.define_asset_job("again")],
    )
    return definitions.resolve_job_def("again")


def test_a_re_execution_reads_what_its_first_run_published(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("STOP", "yes")
    with dg.instance_for_test() as instance:
        job = dg.reconstructable(stopping_job)
        with dg.execute_job(job, instance) as first:
            assert not first.success
        monkeypatch.delenv("STOP")
        options = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with dg.execute_job(job, instance, reexecution_options=options) as again:
            assert again.success
            assert again.output_for_node("after").text == first.run_id


def test_a_bundle_that_other_runs_have_replaced_is_named_and_no_other_is_taken(tmp_path, instance):
    assets, seen = of_words(tmp_path, instance, 3)
    said = message(bundles(tmp_path, instance, assets))
    assert "plan: version" in said
    assert "Other runs have published newer ones" in said
    assert "read" not in seen


def test_a_run_reads_its_own_table(classic_spark, tmp_path, monkeypatch, instance):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    manager = SparkTableIOManager(spark=SparkResource(), data_dir=str(tmp_path))
    made, seen = iter([1, 2]), {}

    @dg.asset
    def rows():
        return classic_spark.range(next(made))

    @dg.asset(deps=[rows])
    def meanwhile() -> None:
        assert dg.materialize([rows], resources={"io_manager": manager}, instance=instance).success

    @dg.asset(deps=[meanwhile])
    def after(rows: Table) -> None:
        seen["rows"] = rows.dataframe(classic_spark).count()

    assert dg.materialize(
        [rows, meanwhile, after], resources={"io_manager": manager}, instance=instance
    ).success
    assert seen == {"rows": 1}
