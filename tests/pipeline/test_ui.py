"""The Dagster UI of `dagster dev` in a real browser: the graph, a click that materializes, an asset's page, its checks, a sensor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from synml_dagster.assets.stage import STAGES
from tests.pipeline.shop import QUICKEST
from tests.pipeline.tables import breast_cancer
from tests.servers import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """The address of `dagster dev`, its daemon and its webserver, over one pipeline that has run once."""
    folder = tmp_path_factory.mktemp("ui")
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    table = breast_cancer(folder)
    (folder / "place.py").write_text(
        "import dagster as dg\nfrom synml_dagster import MLPipeline\n"
        f"made = MLPipeline.model_validate({ {'name': 'cancer', 'source': str(table), 'label': 'diagnosis', 'automation': {'on_new_data': 'score'}, **QUICKEST}!r})\n"
        "defs = dg.Definitions.merge(made.definitions(), dg.Definitions(executor=dg.in_process_executor))\n"
    )
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "SYNML_DATA_DIR": str(folder / "data"),
        "SPARK_MASTER": "local[2]",
    }
    run = [sys.executable, "-m", "dagster", "job", "execute", "-f", "place.py", "-j", "cancer_train"]
    done = subprocess.run(
        run, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "dev", "-f", "place.py", "-p", str(port), "-h", "127.0.0.1"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/server_info", 240)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _wait(url: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@pytest.fixture
def page(ui):
    from playwright.sync_api import sync_playwright

    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*quiet, "--disable-component-update"]
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def shot(page, name: str) -> None:
    """Keep a picture where SYNML_SCREENSHOTS says, for a person to look at."""
    if folder := os.environ.get("SYNML_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_the_graph_shows_every_stage(ui, page):
    page.goto(f"{ui}/asset-groups")
    for name in STAGES:
        # The UI keeps an unseen copy of each name to measure it by.
        page.get_by_text(name, exact=True).locator("visible=true").first.wait_for()
    page.wait_for_timeout(2000)
    shot(page, "graph")


def test_the_page_of_a_materialized_asset_shows_its_figures_and_pictures(ui, page):
    page.goto(f"{ui}/assets/cancer/evaluation?view=overview")
    page.get_by_text("test/auc").locator("visible=true").first.wait_for()
    shot(page, "evaluation")
    page.goto(f"{ui}/assets/cancer/evaluation?view=events")
    page.get_by_text("test/auc").first.wait_for()
    page.wait_for_timeout(1000)
    shot(page, "evaluation_events")
    # Pictures are markdown: shown in place, or behind a "Show markdown" button, by the UI's version.
    button = page.get_by_text("Show Markdown", exact=False)
    if button.count():
        button.first.click()
    picture = page.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 100
    shot(page, "picture")


def asked(ui, query):
    told = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{ui}/graphql", told, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_an_asset_that_is_clicked_in_the_graph_is_materialized(ui, page):
    def runs():
        found = asked(ui, "{ runsOrError { ... on Runs { results { jobName status } } } }")
        return [r["status"] for r in found["runsOrError"]["results"] if r["jobName"] == "__ASSET_JOB"]

    page.goto(f"{ui}/asset-groups")
    page.get_by_text("report", exact=True).locator("visible=true").first.click()
    assert not runs()
    page.get_by_role("button").filter(has_text="Materialize selected").first.click()
    end = time.monotonic() + 400
    while runs() != ["SUCCESS"]:
        assert "FAILURE" not in runs()
        assert time.monotonic() < end, runs()
        time.sleep(2)
    page.goto(f"{ui}/assets/cancer/report?view=events")
    page.get_by_text("Materialized in run").first.wait_for()
    shot(page, "materialized")


def test_a_check_says_what_it_has_found(ui, page):
    page.goto(f"{ui}/assets/cancer/onnx_model?view=overview")
    page.get_by_text("Checks", exact=True).locator("visible=true").first.click()
    page.get_by_text("parity", exact=True).locator("visible=true").first.click()
    page.get_by_text("This is a").locator("visible=true").first.wait_for()
    page.get_by_text("0 labels differ").locator("visible=true").first.wait_for()
    page.get_by_text("Passed", exact=True).locator("visible=true").first.wait_for()
    shot(page, "check")


def test_a_sensor_is_tried_and_turned_on(ui, page):
    def states():
        found = asked(
            ui,
            '{ sensorOrError(sensorSelector: {repositoryLocationName: "place.py", repositoryName: "__repository__", sensorName: "cancer_new_data"}) '
            "{ ... on Sensor { sensorState { status ticks { status skipReason } } } } }",
        )
        return found["sensorOrError"]["sensorState"]

    page.goto(f"{ui}/automation")
    page.get_by_text("cancer_new_data", exact=True).locator("visible=true").first.click()
    page.get_by_text("Asks for cancer_score when").locator("visible=true").first.wait_for()
    page.get_by_role("button", name="Preview tick result").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("is unchanged (version").locator("visible=true").first.wait_for()
    shot(page, "sensor_tried")
    page.get_by_role("button", name="Close").click()
    assert states()["status"] == "STOPPED"
    page.locator("label").filter(has=page.locator("input[type=checkbox]")).first.click()
    end = time.monotonic() + 180
    while not any(tick["status"] == "SKIPPED" for tick in states()["ticks"]):  # the daemon looks every minute
        assert time.monotonic() < end
        time.sleep(2)
    told = states()
    assert told["status"] == "RUNNING"
    skipped = next(tick for tick in told["ticks"] if tick["status"] == "SKIPPED")
    assert "is unchanged (version" in skipped["skipReason"]
    shot(page, "sensor_on")
