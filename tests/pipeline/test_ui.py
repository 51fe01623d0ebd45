"""The Dagster UI in a real browser: the graph, and the page of a materialized asset."""

from __future__ import annotations

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
from tests.pipeline.tables import breast_cancer
from tests.pipeline.whole import QUICK
from tests.servers import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """The address of a Dagster webserver over one pipeline that has run once."""
    folder = tmp_path_factory.mktemp("ui")
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    table = breast_cancer(folder)
    (folder / "place.py").write_text(
        "import dagster as dg\nfrom synml_dagster import MLPipeline\n"
        f"made = MLPipeline.model_validate({ {'name': 'cancer', 'source': str(table), 'label': 'diagnosis', **QUICK}!r})\n"
        "defs = dg.Definitions.merge(made.definitions(), dg.Definitions(executor=dg.in_process_executor))\n"
    )
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "SYNML_DATA_DIR": str(folder / "data"),
        "SPARK_MASTER": "local[2]",
    }
    run = [sys.executable, "-m", "dagster", "job", "execute", "-f", "place.py", "-j", "cancer_train"]
    done = subprocess.run(
        run, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", "-f", "place.py", "-p", str(port), "-h", "127.0.0.1"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/server_info", 90)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


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
