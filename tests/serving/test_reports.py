"""`synml reports`: the newest report of each pipeline, and nothing else of the data directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from synml_dagster.tables.versions import VersionedDirectory


def publish(data, pipeline, text):
    directory = VersionedDirectory(data / pipeline / "report")
    version = directory.new_version()
    folder = data / pipeline / "report" / "versions" / version
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(text, encoding="utf-8")
    directory.publish(version, {}, keep=2)


@pytest.fixture
def address(tmp_path):
    publish(tmp_path, "adult", "<p>first ü</p>")
    (tmp_path / "secret.html").write_text("hidden")
    process = subprocess.Popen(
        [sys.executable, "-m", "synml_dagster.cli", "reports", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SYNML_DATA_DIR": str(tmp_path)},
    )
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield tmp_path, found.group()
    finally:
        process.terminate()
        assert process.wait(20) is not None


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode(), answer.headers


def test_the_newest_report_is_served_and_no_other_file(address):
    data, url = address
    page, headers = get(f"{url}/adult")
    assert page == "<p>first ü</p>"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    publish(data, "adult", "<p>second</p>")
    publish(data, "churn", "<p>other</p>")
    assert get(f"{url}/adult")[0] == "<p>second</p>"
    index = get(url)[0]
    assert re.findall(r'href="/(\w+)"', index) == ["adult", "churn"]
    for wrong in ("nothing", "..%2Fsecret.html", "secret.html", "%3Cscript%3E"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{url}/{wrong}")
        assert refused.value.code == 404
        assert "hidden" not in (said := refused.value.read().decode())
        assert "<script>" not in said


def test_a_taken_port_is_one_sentence(address, tmp_path):
    _, url = address
    port = url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "synml_dagster.cli", "reports", "--port", port, "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr
