"""The month of the plant, told by its own simulation and by what lies on disk afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=[10, 30])
def month(request, tmp_path_factory):
    """Live through a story: its days, and what was said by day and word."""
    folder = tmp_path_factory.mktemp("plant")
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    place = folder / "predictive_maintenance"
    shutil.copytree(
        CHECKOUT / "examples" / place.name, place, ignore=shutil.ignore_patterns("data", "__pycache__")
    )
    environment = {
        k: v for k, v in os.environ.items() if k not in ("SYNML_DATA_DIR", "MLFLOW_TRACKING_URI")
    } | {"PYTHONPATH": f"{place}{os.pathsep}{CHECKOUT}", "DAGSTER_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "simulate.py", "--days", str(request.param)],
        cwd=place, env=environment, capture_output=True, text=True, timeout=5000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    said: dict[int, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        if found := re.fullmatch(r"2026-03-(\d\d) ([a-z]+): (.*)", line):
            said.setdefault(int(found[1]), []).append((found[2], found[3]))
    days = {10: (3, 4, 7, 8, 8, 9, 9), 30: (7, 12, 15, 24, 26, 27, 28)}[request.param]
    words = ("first", "busy", "retrained", "broken", "experiment", "by_hand", "back")
    return home / "synml_data" / "machines", said, dict(zip(words, days, strict=True)), request.param


def of(said, day, word):
    return [text for what, text in said.get(day, []) if what == word]


def versions(month, day):
    """Which versions have scored the rows of a day that lie on disk now."""
    table = pq.read_table(month[0] / "predictions" / f"partition=2026-03-{day:02}")
    return set(table["model_version"].to_pylist()), table.num_rows


def test_each_day_is_scored_on_the_morning_after(month):
    _, said, days, last = month
    assert any("version 1 promoted: first champion" in t for t in of(said, days["first"], "champion"))
    for day in range(days["first"] + 1, last + 1):
        assert any("schedule 0 6 * * *" in t for t in of(said, day, "score")), said.get(day)
        assert versions(month, day)[1] == 500


def test_the_drift_is_seen_on_the_day_it_begins_and_names_the_columns(month):
    _, said, days, _ = month
    assert not of(said, days["busy"] - 1, "drift")
    (text,) = of(said, days["busy"], "drift")
    assert "'load'" in text
    assert "'temperature'" in text
    assert "'pressure'" not in text


def test_four_days_of_drift_ask_for_a_training_and_the_better_model_is_promoted(month):
    _, said, days, _ = month
    asked = {day: t for day in said for t in of(said, day, "train")}
    assert min(day for day in asked if day > days["first"]) == days["retrained"]
    assert "drift 4 times in a row: " in asked[days["retrained"]]
    (decision,) = of(said, days["retrained"], "champion")
    assert re.match(r"version 2 promoted: auc is [\d.]+ and the champion's [\d.]+ on the same rows", decision)
    sensors = [t for day in said for t in of(said, day, "train") if "in a row" in t]
    assert len(sensors) <= 4


def test_a_day_of_a_broken_sensor_is_not_scored_until_it_is_sent_again(month):
    _, said, days, _ = month
    texts = [t for what, t in said[days["broken"]] if what in ("score", "ranges", "predictions")]
    assert texts[0].startswith("stopped: schedule")
    assert "'vibration' in 500 rows, such as 9999" in texts[1]
    assert texts[2] == "done: the gateway has sent the day again"
    assert texts[3].startswith(f"2026-03-{days['broken']:02} by version")


def test_a_bad_candidate_is_refused_and_what_a_person_promotes_is_rolled_back(month):
    _, said, days, _ = month
    (decision,) = [t for t in of(said, days["experiment"], "champion") if "not promoted" in t]
    assert "worse than the champion's" in decision
    refused = re.match(r"version (\d+) not promoted", decision)[1]
    scored = of(said, days["by_hand"], "predictions")
    assert f"2026-03-{days['by_hand']:02} by version {refused}" in scored
    moved = of(said, days["back"], "champion")
    assert re.match(rf"version \d+ put back .* in place of version {refused}", moved[-1])
    assert versions(month, days["back"])[0].isdisjoint({refused})
    assert of(said, days["back"], "predictions")[-1].endswith(moved[-1].split()[1])


def test_live_metrics_come_with_the_labels(month):
    _, said, _, _ = month
    lines = [t for day in said for t in of(said, day, "live")]
    assert lines
    assert all(re.fullmatch(r"auc 0\.\d+ on \d+ rows", line) for line in lines)
