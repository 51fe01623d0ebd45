"""What is published: the same bytes from the same commit, with all that it needs and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zipfile
from email import message_from_string

import pytest

import synml_dagster
from tests.packaging.conftest import CHECKOUT, build, copy_checkout

pytestmark = pytest.mark.slow


def digests(files):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_two_builds_of_one_commit_are_the_same_bytes(tmp_path):
    once = build(copy_checkout(tmp_path / "one"), tmp_path / "dist one")
    elsewhere = copy_checkout(tmp_path / "two")
    (elsewhere / "notes.txt").write_text("lies about")
    for file in elsewhere.rglob("*.py"):
        os.utime(file, (1, 1))
        file.chmod(0o600)
    again = build(elsewhere, tmp_path / "dist two")
    assert len(once) == 2
    assert digests(once) == digests(again)


def test_the_sdist_alone_builds_the_same_wheel(published, tmp_path):
    sdist, wheel = published
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (checkout,) = tmp_path.iterdir()
    (rebuilt,) = build(checkout, tmp_path / "dist", "--wheel")
    assert digests([rebuilt]) == digests([wheel])


def test_the_wheel_holds_the_package_and_nothing_else(published):
    with zipfile.ZipFile(published[1]) as archive:
        names = set(archive.namelist())
    made = {n for n in names if n.startswith("synml_dagster/")}
    there = {
        p.relative_to(CHECKOUT).as_posix()
        for p in (CHECKOUT / "synml_dagster").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert made == there
    assert {n.split("/")[0] for n in names - made} == {f"synml_dagster-{synml_dagster.__version__}.dist-info"}
    assert {
        "synml_dagster/py.typed",
        "synml_dagster/spark/log4j2.properties",
        "synml_dagster/report/templates/report.html.j2",
        "synml_dagster/report/templates/report.css",
    } <= made


def test_the_wheel_says_its_version_its_pythons_and_its_extras(published):
    version = synml_dagster.__version__
    with zipfile.ZipFile(published[1]) as archive:
        told = message_from_string(archive.read(f"synml_dagster-{version}.dist-info/METADATA").decode())
    assert told["Version"] == version
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert {"ui", "gpu", "s3", "postgres"} <= set(told.get_all("Provides-Extra"))
    pythons = {c.split(" :: ")[-1] for c in told.get_all("Classifier") if "Python :: 3." in c}
    assert pythons == {"3.11", "3.12", "3.13"}


def test_the_sdist_holds_what_tests_and_demo_need(published):
    with tarfile.open(published[0]) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    assert {
        "demo.py", "definitions.py", "Makefile", "requirements.lock", "requirements-build.lock",
        "requirements-run.lock", "assets/demo/defs.yaml",
        "tests/conftest.py", "CHANGELOG.md", "SECURITY.md", "LICENSE",
    } <= names  # fmt: skip


def test_what_runs_is_what_was_tested():
    everything, to_run = (
        set(re.findall(r"^(\S+==\S+)", (CHECKOUT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-run.lock")
    )
    assert to_run < everything


def test_the_changelog_has_a_section_of_this_version():
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(synml_dagster.__version__)} - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)
