"""Bundles of files go from asset to asset, and the code alone says which class opens them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synml_dagster.io_managers import BundleIOManager
from synml_dagster.tables.versions import VersionedDirectory


@dataclass
class Plan:
    """A bundle of two files."""

    name: str
    fails: bool = False

    def save(self, directory: str | Path) -> None:
        (Path(directory) / "plan.json").write_text(json.dumps({"name": self.name}))
        if self.fails:
            raise OSError("disk full")
        (Path(directory) / "more").mkdir()
        (Path(directory) / "more" / "note.txt").write_text("note")

    @classmethod
    def load(cls, directory: str | Path) -> "Plan":
        assert (Path(directory) / "more" / "note.txt").read_text() == "note"
        return cls(json.loads((Path(directory) / "plan.json").read_text())["name"])


class Report(Plan):
    @classmethod
    def load(cls, directory: str | Path) -> "Report":
        raise ValueError("no report.html")


@pytest.fixture(params=["local", "memory"])
def data_dir(request, tmp_path) -> str:
    """A folder, and a file system without one, as an object store is."""
    return str(tmp_path / "data") if request.param == "local" else f"memory://{tmp_path.name}-bundles"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(assets, data_dir, instance, **options):
    manager = BundleIOManager(data_dir=data_dir, keep=2)
    return dg.materialize(
        assets, resources={"io_manager": manager}, instance=instance, raise_on_error=False, **options
    )


def message(result) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return event.step_failure_data.error.to_string()


def test_the_class_comes_from_the_annotation_the_metadata_or_the_upstream_asset(data_dir, instance):
    seen: dict[str, Any] = {}

    @dg.asset(key_prefix="adult")
    def plan() -> Plan:
        return Plan("adult")

    key = dg.AssetKey(["adult", "plan"])

    @dg.asset(ins={"plan": dg.AssetIn(key)})
    def annotated(plan: Plan) -> None:
        seen["annotated"] = plan

    @dg.asset(ins={"plan": dg.AssetIn(key, metadata={"bundle": f"{Plan.__module__}:Plan"})})
    def named(plan) -> None:
        seen["named"] = plan

    @dg.asset(ins={"plan": dg.AssetIn(key)})
    def plain(plan) -> None:
        seen["plain"] = plan

    result = run([plan, annotated, named, plain], data_dir, instance)
    assert result.success
    assert seen == dict.fromkeys(["annotated", "named", "plain"], Plan("adult"))
    metadata = result.asset_materializations_for_node("adult__plan")[0].metadata
    assert metadata["dagster/uri"].value == f"{data_dir}/adult/plan"
    assert metadata["files"].value == "more/note.txt, plan.json"


def test_the_stored_files_do_not_choose_the_class(data_dir, instance):
    @dg.asset
    def plan():
        return Plan("adult")

    @dg.asset
    def after(plan) -> None: ...

    @dg.asset
    def other(plan: Report) -> None: ...

    assert run([plan], data_dir, instance).success
    result = run([plan, after], data_dir, instance, selection=[after])
    assert "nothing says which class loads the input 'plan'" in message(result)
    result = run([plan, other], data_dir, instance, selection=[other])
    assert "plan: Report cannot load what" in message(result)
    assert "no report.html" in message(result)


def test_a_save_that_fails_leaves_the_former_bundle_and_no_debris(data_dir, instance):
    made = {"plan": Plan("good")}

    @dg.asset
    def plan() -> Plan:
        return made["plan"]

    assert run([plan], data_dir, instance).success
    made["plan"] = Plan("bad", fails=True)
    assert "disk full" in message(run([plan], data_dir, instance))
    directory = VersionedDirectory(f"{data_dir}/plan")
    assert directory._folders() == [directory.current()] == directory.versions()


def test_the_last_versions_are_kept(tmp_path, instance):
    @dg.asset
    def plan(context: dg.AssetExecutionContext) -> Plan:
        return Plan(context.run.run_id)

    results = [run([plan], str(tmp_path), instance) for _ in range(4)]
    directory = VersionedDirectory(tmp_path / "plan")
    kept = [r.asset_materializations_for_node("plan")[0].metadata["version"].value for r in results[-2:]]
    assert directory.versions() == kept
    assert directory.current() == kept[-1]


def test_each_partition_is_a_bundle_of_its_own(data_dir, instance):
    parts = dg.StaticPartitionsDefinition(["a/b", "..", "c"])
    seen: dict[str, Any] = {}

    @dg.asset(partitions_def=parts)
    def plan(context: dg.AssetExecutionContext) -> Plan:
        return Plan(context.partition_key)

    @dg.asset
    def all_of_them(plan: dict[str, Plan]) -> None:
        seen.update(plan)

    for key in parts.get_partition_keys():
        assert run([plan], data_dir, instance, partition_key=key).success
    result = run([plan, all_of_them], data_dir, instance, selection=[all_of_them])
    assert result.success
    assert seen == {key: Plan(key) for key in parts.get_partition_keys()}


def test_what_is_no_bundle_is_refused(data_dir, instance):
    @dg.asset
    def number() -> int:
        return 7

    assert "number returned a int, and its IO manager stores objects with save" in message(
        run([number], data_dir, instance)
    )
