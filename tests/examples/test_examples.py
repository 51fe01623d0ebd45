"""Each example, run by the very commands of its README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"


@pytest.fixture
def follow(tmp_path):
    """Copy an example and run what its README says, but for the UI, which does not end."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {
        k: v for k, v in os.environ.items() if k not in ("SYNML_DATA_DIR", "MLFLOW_TRACKING_URI")
    } | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "DG_CLI_CONFIG": str(tmp_path / "none"),
    }

    def run(name: str) -> str:
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("data"))
        (block,) = re.findall(
            r"^```\n(.*?)^```", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE
        )
        commands = [line for line in block.splitlines() if not line.startswith("dg dev")]
        done = subprocess.run(
            ["bash", "-ec", "\n".join(commands)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    return run


def test_churn_reads_trains_and_then_scores_the_day_that_nobody_has_answers_for(follow, tmp_path):
    told = follow("churn")
    assert "version 1 promoted" in told
    days = tmp_path / "home" / "synml_data" / "churn" / "predictions"
    assert len(list(days.glob("partition=*"))) == 14
    newest = pq.read_table(days / "partition=2026-01-14")
    assert newest.num_rows == 400
    assert set(newest["prediction"].to_pylist()) <= {"yes", "no"}


def test_ranking_is_measured_and_promoted_by_ndcg(follow, tmp_path):
    assert re.search(r"version 1 promoted: first champion, with ndcg@10 0\.9", follow("ranking"))
    scores = pq.read_table(tmp_path / "home" / "synml_data" / "search" / "predictions")
    assert {"query", "document", "prediction"} <= set(scores.column_names)


def test_translation_keeps_placeholders_and_sends_only_what_has_changed(follow, tmp_path):
    told = follow("translation")
    assert re.findall(r"translator: (\d+) texts", told) == ["9", "1"]
    made = tmp_path / "translation" / "data" / "translated"
    assert (made / "welcome.md").read_text() == (
        "# Willkommen {name}\n\nDas Haus ist klein und das Garten ist groß.\n\nÖffne `config.yaml` und lies es.\n"
    )
    assert "- Das Baum ist groß." in (made / "garden.md").read_text()
    assert "Lies https://example.org/help zuerst." in (made / "help.md").read_text()


def test_questions_find_chunks_and_only_changed_ones_are_sent_again(follow, tmp_path):
    told = follow("search_index")
    assert re.findall(r"embedder: (\d+) texts", told) == ["9", "4", "1"]
    found = (tmp_path / "search_index" / "data" / "found.md").read_text()
    first = dict(re.findall(r"## (.+)\n\n- (\w+ \d)", found))
    assert first == {
        "How hot should the water for coffee be?": "coffee 2", "Why do my brakes squeal?": "bicycle 1",
        "What do I feed my sourdough starter with?": "bread 0", "How often do I pump up tyres?": "bicycle 2",
    }  # fmt: skip
    assert "on their side" in found


def test_the_libraries_alone_train_export_score_and_explain(follow, tmp_path):
    told = follow("library")
    assert "parity: passed" in told
    accuracy = re.search(r"accuracy ([\d.]+)", told)
    assert accuracy
    assert float(accuracy.group(1)) > 0.9
    assert (tmp_path / "library" / "wine_bundle" / "model.onnx").exists()
