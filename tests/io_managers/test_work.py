"""What an asset cost, on its page: seconds, processor time of this process and those below it, bytes."""

import subprocess
import sys
import time

import dagster as dg
import pytest

from synml_dagster.assets.stage import clearly
from synml_dagster.io_managers import BundleIOManager, work
from synml_dagster.io_managers.work import BYTES, CORE_SECONDS, SECONDS, core_seconds


@pytest.fixture(autouse=True)
def all_work_is_here(monkeypatch):
    """Other tests of this process hold sessions of Spark Connect, whose work is elsewhere."""
    monkeypatch.setattr(work, "_works_here", lambda: True)


class Note:
    """A bundle of one file of 1000 bytes."""

    def save(self, directory):
        with open(f"{directory}/note.txt", "w") as file:
            file.write("x" * 1000)

    @classmethod
    def load(cls, directory):
        return cls()


BUSY = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"


def test_a_child_that_works_counts_and_waiting_does_not(tmp_path):
    @dg.asset(io_manager_key="bundles")
    @clearly
    def busy(context: dg.AssetExecutionContext):
        subprocess.run([sys.executable, "-c", BUSY], check=True)
        time.sleep(0.5)
        return Note()

    done = dg.materialize([busy], resources={"bundles": BundleIOManager(data_dir=str(tmp_path))})
    (made,) = done.asset_materializations_for_node("busy")
    told = {key: made.metadata[key].value for key in (SECONDS, CORE_SECONDS, BYTES)}
    assert told[BYTES] == 1000
    assert told[SECONDS] >= 1.1
    assert told[CORE_SECONDS] >= 0.6


def test_processor_time_only_grows():
    before = core_seconds()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert core_seconds() - before >= 0.08


def test_an_asset_that_notes_no_beginning_has_no_seconds(tmp_path):
    @dg.asset(io_manager_key="bundles")
    def quiet():
        return Note()

    done = dg.materialize([quiet], resources={"bundles": BundleIOManager(data_dir=str(tmp_path))})
    (made,) = done.asset_materializations_for_node("quiet")
    assert SECONDS not in made.metadata
    assert made.metadata[BYTES].value == 1000
